"""ArangoDB's errors: number, name and message, as its `errors.dat` lists them. The one table of this project.

Every errorNum and every number of a warning that this project raises is in it (tests/unit/base/test_arango_errors.py
searches the code), so a number cannot be mistaken for another's. `%s` is replaced by what the error is about. The HTTP
statuses of errors are in `proxy.base.errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ArangoErrorKind:
    """One line of the table."""

    number: int
    name: str
    message: str


_TABLE: Final = """
1 FAILED failed
2 SYS_ERROR system error
3 OUT_OF_MEMORY out of memory
4 INTERNAL internal error
5 ILLEGAL_NUMBER illegal number
6 NUMERIC_OVERFLOW numeric overflow
7 ILLEGAL_OPTION illegal option
9 NOT_IMPLEMENTED not implemented
10 BAD_PARAMETER bad parameter
11 FORBIDDEN forbidden
13 CORRUPTED_CSV csv is corrupt
14 FILE_NOT_FOUND file not found
15 CANNOT_WRITE_FILE cannot write file
16 CANNOT_OVERWRITE_FILE cannot overwrite file
17 TYPE_ERROR type error
18 LOCK_TIMEOUT lock timeout
21 REQUEST_CANCELED canceled request
22 DEBUG intentional debug error
28 LOCKED locked
29 DEADLOCK deadlock detected
30 SHUTTING_DOWN shutdown in progress
31 ONLY_ENTERPRISE only enterprise version
32 RESOURCE_LIMIT resource limit exceeded
33 ARANGO_ICU_ERROR icu error: %s
35 INCOMPATIBLE_VERSION incompatible server version
36 DISABLED disabled
37 MALFORMED_JSON malformed json
38 STARTING_UP startup ongoing
400 HTTP_BAD_PARAMETER bad parameter
401 HTTP_UNAUTHORIZED unauthorized
403 HTTP_FORBIDDEN forbidden
404 HTTP_NOT_FOUND not found
405 HTTP_METHOD_NOT_ALLOWED method not supported
406 HTTP_NOT_ACCEPTABLE request not acceptable
408 HTTP_REQUEST_TIMEOUT request timeout
409 HTTP_CONFLICT conflict
410 HTTP_GONE content permanently deleted
412 HTTP_PRECONDITION_FAILED precondition failed
500 HTTP_SERVER_ERROR internal server error
501 HTTP_NOT_IMPLEMENTED not implemented
503 HTTP_SERVICE_UNAVAILABLE service unavailable
504 HTTP_GATEWAY_TIMEOUT gateway timeout
600 HTTP_CORRUPTED_JSON invalid JSON object
601 HTTP_SUPERFLUOUS_SUFFICES superfluous URL suffices
1000 ARANGO_ILLEGAL_STATE illegal state
1004 ARANGO_READ_ONLY read only
1005 ARANGO_DUPLICATE_IDENTIFIER duplicate identifier
1100 ARANGO_CORRUPTED_DATAFILE corrupted datafile
1101 ARANGO_ILLEGAL_PARAMETER_FILE illegal or unreadable parameter file
1102 ARANGO_CORRUPTED_COLLECTION corrupted collection
1104 ARANGO_FILESYSTEM_FULL filesystem full
1107 ARANGO_DATADIR_LOCKED database directory is locked
1200 ARANGO_CONFLICT conflict
1202 ARANGO_DOCUMENT_NOT_FOUND document not found
1203 ARANGO_DATA_SOURCE_NOT_FOUND collection or view not found
1204 ARANGO_COLLECTION_PARAMETER_MISSING parameter 'collection' not found
1205 ARANGO_DOCUMENT_HANDLE_BAD illegal document identifier
1207 ARANGO_DUPLICATE_NAME duplicate name
1208 ARANGO_ILLEGAL_NAME illegal name
1209 ARANGO_NO_INDEX no suitable index known
1210 ARANGO_UNIQUE_CONSTRAINT_VIOLATED unique constraint violated
1212 ARANGO_INDEX_NOT_FOUND index not found
1213 ARANGO_CROSS_COLLECTION_REQUEST cross collection request not allowed
1214 ARANGO_INDEX_HANDLE_BAD illegal index identifier
1216 ARANGO_DOCUMENT_TOO_LARGE document too large
1218 ARANGO_COLLECTION_TYPE_INVALID collection type invalid
1220 ARANGO_ATTRIBUTE_PARSER_FAILED parsing attribute name definition failed
1221 ARANGO_DOCUMENT_KEY_BAD illegal document key
1222 ARANGO_DOCUMENT_KEY_UNEXPECTED unexpected document key
1224 ARANGO_DATADIR_NOT_WRITABLE server database directory not writable
1225 ARANGO_OUT_OF_KEYS out of keys
1226 ARANGO_DOCUMENT_KEY_MISSING missing document key
1227 ARANGO_DOCUMENT_TYPE_INVALID invalid document type
1228 ARANGO_DATABASE_NOT_FOUND database not found
1229 ARANGO_DATABASE_NAME_INVALID database name invalid
1230 ARANGO_USE_SYSTEM_DATABASE operation only allowed in system database
1232 ARANGO_INVALID_KEY_GENERATOR invalid key generator
1233 ARANGO_INVALID_EDGE_ATTRIBUTE edge attribute missing or invalid
1235 ARANGO_INDEX_CREATION_FAILED index creation failed
1237 ARANGO_COLLECTION_TYPE_MISMATCH collection type mismatch
1238 ARANGO_COLLECTION_NOT_LOADED collection not loaded
1239 ARANGO_DOCUMENT_REV_BAD illegal document revision
1240 ARANGO_INCOMPLETE_READ incomplete read
1302 ARANGO_TRY_AGAIN operation should be tried again
1303 ARANGO_BUSY engine is busy
1400 REPLICATION_NO_RESPONSE no response
1411 REPLICATION_RUNNING cannot perform operation while applier is running
1412 REPLICATION_APPLIER_STOPPED replication stopped
1413 REPLICATION_NO_START_TICK no start tick
1414 REPLICATION_START_TICK_NOT_PRESENT start tick not present
1429 REPLICATION_WRITE_CONCERN_NOT_FULFILLED write concern not fulfilled
1457 CLUSTER_TIMEOUT timeout in cluster operation
1465 CLUSTER_CONNECTION_LOST cluster internal HTTP connection broken
1470 CLUSTER_UNSUPPORTED unsupported operation or parameter for clusters
1471 CLUSTER_ONLY_ON_COORDINATOR this operation is only valid on a coordinator in a cluster
1478 CLUSTER_BACKEND_UNAVAILABLE A cluster backend which was required for the operation could not be reached
1495 CLUSTER_LEADERSHIP_CHALLENGE_ONGOING leadership challenge is ongoing
1496 CLUSTER_NOT_LEADER not a leader
1500 QUERY_KILLED query killed
1501 QUERY_PARSE %s
1502 QUERY_EMPTY query is empty
1503 QUERY_SCRIPT runtime error '%s'
1504 QUERY_NUMBER_OUT_OF_RANGE number out of range
1505 QUERY_INVALID_GEO_VALUE invalid geo coordinate value
1510 QUERY_VARIABLE_NAME_INVALID variable name '%s' has an invalid format
1511 QUERY_VARIABLE_REDECLARED variable '%s' is assigned multiple times
1512 QUERY_VARIABLE_NAME_UNKNOWN unknown variable '%s'
1521 QUERY_COLLECTION_LOCK_FAILED unable to read-lock collection %s
1522 QUERY_TOO_MANY_COLLECTIONS too many collections/shards
1524 QUERY_TOO_MUCH_NESTING too much nesting or too many objects
1540 QUERY_FUNCTION_NAME_UNKNOWN usage of unknown function '%s()'
1541 QUERY_FUNCTION_ARGUMENT_NUMBER_MISMATCH invalid number of arguments for function '%s()', expected number of arguments: minimum: %d, maximum: %d
1542 QUERY_FUNCTION_ARGUMENT_TYPE_MISMATCH invalid argument type in call to function '%s()'
1543 QUERY_INVALID_REGEX invalid regex value
1550 QUERY_BIND_PARAMETERS_INVALID invalid structure of bind parameters
1551 QUERY_BIND_PARAMETER_MISSING no value specified for declared bind parameter '%s'
1552 QUERY_BIND_PARAMETER_UNDECLARED bind parameter '%s' was not declared in the query
1553 QUERY_BIND_PARAMETER_TYPE bind parameter '%s' has an invalid value or type
1561 QUERY_INVALID_ARITHMETIC_VALUE invalid arithmetic value
1562 QUERY_DIVISION_BY_ZERO division by zero
1563 QUERY_ARRAY_EXPECTED array expected
1568 QUERY_COLLECTION_USED_IN_EXPRESSION collection '%s' used as expression operand
1569 QUERY_FAIL_CALLED FAIL(%s) called
1570 QUERY_GEO_INDEX_MISSING no suitable geo index found for geo restriction on '%s'
1571 QUERY_FULLTEXT_INDEX_MISSING no suitable fulltext index found for fulltext query on '%s'
1572 QUERY_INVALID_DATE_VALUE invalid date value
1573 QUERY_MULTI_MODIFY multi-modify query
1574 QUERY_INVALID_AGGREGATE_EXPRESSION invalid aggregate expression
1575 QUERY_COMPILE_TIME_OPTIONS query options must be readable at query compile time
1577 QUERY_FORCED_INDEX_HINT_UNUSABLE could not use forced index hint
1578 QUERY_DISALLOWED_DYNAMIC_CALL disallowed dynamic call to '%s'
1579 QUERY_ACCESS_AFTER_MODIFICATION access after data-modification by %s
1580 QUERY_FUNCTION_INVALID_NAME invalid user function name
1581 QUERY_FUNCTION_INVALID_CODE invalid user function code
1582 QUERY_FUNCTION_NOT_FOUND user function '%s()' not found
1583 QUERY_FUNCTION_RUNTIME_ERROR user function runtime error: %s
1590 QUERY_BAD_JSON_PLAN bad execution plan JSON
1591 QUERY_NOT_FOUND query ID not found
1593 QUERY_USER_ASSERT %s
1594 QUERY_USER_WARN %s
1595 QUERY_WINDOW_AFTER_MODIFICATION window operation after data-modification
1600 CURSOR_NOT_FOUND cursor not found
1601 CURSOR_BUSY cursor is busy
1620 VALIDATION_FAILED schema validation failed
1621 VALIDATION_BAD_PARAMETER invalid schema validation parameter
1650 TRANSACTION_INTERNAL internal transaction error
1651 TRANSACTION_NESTED nested transactions detected
1652 TRANSACTION_UNREGISTERED_COLLECTION unregistered collection used in transaction
1653 TRANSACTION_DISALLOWED_OPERATION disallowed operation inside transaction
1654 TRANSACTION_ABORTED transaction aborted
1655 TRANSACTION_NOT_FOUND transaction not found
1700 USER_INVALID_NAME invalid user name
1702 USER_DUPLICATE duplicate user
1703 USER_NOT_FOUND user not found
1705 USER_EXTERNAL user is external
1752 SERVICE_DOWNLOAD_FAILED service download failed
1753 SERVICE_UPLOAD_FAILED service upload failed
1850 TASK_INVALID_ID invalid task id
1851 TASK_DUPLICATE_ID duplicate task id
1852 TASK_NOT_FOUND task not found
1901 GRAPH_INVALID_GRAPH invalid graph
1906 GRAPH_INVALID_EDGE invalid edge
1910 GRAPH_INVALID_FILTER_RESULT invalid filter result
1920 GRAPH_COLLECTION_MULTI_USE multi use of edge collection in edge def
1921 GRAPH_COLLECTION_USE_IN_MULTI_GRAPHS edge collection already used in edge def
1922 GRAPH_CREATE_MISSING_NAME missing graph name
1923 GRAPH_CREATE_MALFORMED_EDGE_DEFINITION malformed edge definition
1924 GRAPH_NOT_FOUND graph '%s' not found
1925 GRAPH_DUPLICATE graph already exists
1926 GRAPH_VERTEX_COL_DOES_NOT_EXIST vertex collection does not exist or is not part of the graph
1927 GRAPH_WRONG_COLLECTION_TYPE_VERTEX collection not a vertex collection
1928 GRAPH_NOT_IN_ORPHAN_COLLECTION collection is not in list of orphan collections
1929 GRAPH_COLLECTION_USED_IN_EDGE_DEF collection already used in edge def
1930 GRAPH_EDGE_COLLECTION_NOT_USED edge collection not used in graph
1932 GRAPH_NO_GRAPH_COLLECTION collection _graphs does not exist
1935 GRAPH_INVALID_NUMBER_OF_ARGUMENTS Invalid number of arguments. Expected:
1936 GRAPH_INVALID_PARAMETER Invalid parameter type.
1938 GRAPH_COLLECTION_USED_IN_ORPHANS collection used in orphans
1939 GRAPH_EDGE_COL_DOES_NOT_EXIST edge collection does not exist or is not part of the graph
1940 GRAPH_EMPTY empty graph
1941 GRAPH_INTERNAL_DATA_CORRUPT internal graph data corrupt
1943 GRAPH_CREATE_MALFORMED_ORPHAN_LIST malformed orphan list
1944 GRAPH_EDGE_DEFINITION_IS_DOCUMENT edge definition collection is a document collection
1945 GRAPH_COLLECTION_IS_INITIAL initial collection is not allowed to be removed manually
1946 GRAPH_NO_INITIAL_COLLECTION no valid initial collection found
1947 GRAPH_REFERENCED_VERTEX_COLLECTION_NOT_PART_OF_THE_GRAPH referenced vertex collection is not part of the graph
1948 GRAPH_NEGATIVE_EDGE_WEIGHT negative edge weight found
1950 SESSION_UNKNOWN unknown session
1951 SESSION_EXPIRED session expired
3009 SERVICE_NOT_FOUND service not found
3099 SERVICE_API_DISABLED service api disabled
4000 NO_SMART_COLLECTION collection is not smart
4001 NO_SMART_GRAPH_ATTRIBUTE smart graph attribute not given
21003 QUEUE_FULL named queue is full
21004 QUEUE_TIME_REQUIREMENT_VIOLATED queue time violated
"""  # noqa: E501


def _read() -> dict[int, ArangoErrorKind]:
    found: dict[int, ArangoErrorKind] = {}
    for line in _TABLE.strip().splitlines():
        number, name, message = line.split(" ", 2)
        found[int(number)] = ArangoErrorKind(int(number), name, message)
    return found


ARANGO_ERRORS: Final = _read()
