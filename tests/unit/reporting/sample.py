"""Sample facts that use every part of a report."""

from __future__ import annotations

from backfill.migration_report.facts import (
    AuditEntry,
    AuditFacts,
    CollectionFacts,
    CopyFacts,
    EpochFacts,
    Facts,
    InstanceFacts,
    LeftOut,
    MismatchFacts,
    Orphans,
    RunFacts,
    SettingFacts,
)

_EQUAL = "3f9c0b7d52a1e8846c0d9b1f7ae2554310b8c6d2f09e7a4451d83e6b20c7f915"
_OTHER = "91b2c06ce1f7d2a83be09744f6a51d20c8e3970bb1d4652ef0a97c8816d3e04a"


def backfill(number: int, documents: int, size: int, seconds: float, state: str = "done") -> RunFacts:
    return RunFacts(
        id=number,
        kind="backfill",
        mode="fast",
        state=state,
        started_at="2026-01-12T08:00:00Z",
        finished_at="2026-01-12T08:07:00Z" if state == "done" else None,
        seconds=seconds,
        documents=documents,
        bytes=size,
        chunks=48,
        chunks_done=48 if state == "done" else 31,
    )


def verification(number: int, documents: int, seconds: float, *, left: int = 0, repaired: int = 0) -> RunFacts:
    return RunFacts(
        id=number,
        kind="verify",
        mode="full",
        state="done",
        started_at="2026-01-12T09:00:00Z",
        finished_at="2026-01-12T09:02:30Z",
        seconds=seconds,
        documents=documents,
        bytes=0,
        chunks=48,
        chunks_done=48,
        checked=documents,
        found={"missing": 2, "stale": 1} if repaired or left else {},
        repaired=repaired,
        left=left,
    )


def collection(name: str = "resumes/resume_documents", **changes: object) -> CollectionFacts:
    values: dict[str, object] = {
        "collection": name,
        "relation": name.replace("/", "."),
        "edge": False,
        "stage": "flipped",
        "weight": 10,
        "stage_since": "2026-01-14T10:00:00Z",
        "origin": CopyFacts(1_204_339, 2_871_339_018, _EQUAL),
        "target": CopyFacts(1_204_339, 2_871_339_018, _EQUAL),
        "tombstones": 418,
        "disk": 3_904_217_088,
        "compared": 148_203,
        "mismatched": 0,
        "shapes": 14,
        "shapes_compared": 14,
        "runs": (
            verification(7, 1_204_339, 96.4),
            verification(4, 1_201_877, 101.2, repaired=3),
            backfill(1, 1_201_877, 2_860_114_201, 412.7),
        ),
        "more_runs": 0,
        "mismatches": (
            MismatchFacts(3, "value", ("/parsed_data/skills/*/level", "/updated_at"), "repaired", 12, 4,
                          "2026-01-12T11:00:00Z", "2026-01-12T11:20:00Z"),
        ),
        "mismatch_states": {"repaired": 1},
        "left_out": (),
        "orphans": None,
    }  # fmt: skip
    return CollectionFacts(**{**values, **changes})  # type: ignore[arg-type]


def facts() -> Facts:
    odd = collection(
        "resumes/job_documents",
        stage="shadow",
        weight=0,
        origin=CopyFacts(88_120, 190_338_211, _EQUAL),
        target=CopyFacts(88_119, 190_336_020, _OTHER),
        runs=(verification(8, 88_120, 9.1, left=1), backfill(2, 88_120, 190_338_211, 31.4)),
        mismatches=(
            MismatchFacts(9, "type", ("/salary/<min>|max",), "open", 3, 1, "2026-01-13T07:00:00Z",
                          "2026-01-14T07:30:00Z"),
        ),
        mismatch_states={"open": 1},
        left_out=(
            LeftOut("dead letter", "job-00417", 1, "22P05: unsupported Unicode escape sequence"),
            LeftOut("unverified", "an import passed through", 2,
                    "the copy may have missed a write since the last verification"),
            LeftOut("gap", "import", 2, "opaque"),
            LeftOut("unsupported", "reads", 17, "comparisons that PostgreSQL could not answer"),
        ),
        orphans=Orphans('"user"', 88_002, 41, 3, ("1044", "1045", "<script>")),
        mismatched=3,
        shapes_compared=8,
        shapes=9,
    )  # fmt: skip
    away = collection(
        "resumes/optimization_results",
        stage="mirror",
        weight=0,
        origin=CopyFacts(error="connection refused"),
        target=CopyFacts(12, None, None),
        runs=(backfill(9, 31_000, 90_000_000, 14.0, "open"),),
        mismatches=(),
        mismatch_states={},
        compared=0,
        shapes=0,
        shapes_compared=0,
        tombstones=0,
        disk=131_072,
        more_runs=4,
    )
    return Facts(
        at="2026-01-15T12:00:00Z",
        seconds=128.4,
        checksums=True,
        collections=(collection(), odd, away),
        epochs=(
            EpochFacts(3, "2026-01-14T10:00:00Z", "2026-01-14T10:00:02Z", "committed", "ann@ops-1", "ticket 4711",
                       ("resumes/resume_documents: shadow -> flipped 10 %",)),
            EpochFacts(2, "2026-01-14T09:58:00Z", "2026-01-14T09:58:10Z", "aborted", "ann@ops-1", None,
                       ("resumes/resume_documents: shadow -> flipped 10 %",)),
            EpochFacts(1, "2026-01-12T07:59:00Z", "2026-01-12T07:59:01Z", "committed", "ben@ops-2", "begin",
                       ("resumes/resume_documents: off -> mirror", "resumes/job_documents: off -> mirror")),
        ),
        audit=AuditFacts(3, _EQUAL, None, "", (
            AuditEntry(3, "2026-01-14T10:00:02Z", "ann@ops-1", "epoch.commit", "ticket 4711"),
            AuditEntry(2, "2026-01-14T09:58:10Z", "ann@ops-1", "epoch.abort", None),
        )),
        instances=(
            InstanceFacts("sidecar-a", "live", "node-1", "0.1.0", "2026-01-12T07:00:00Z", 0, 0.0),
            InstanceFacts("sidecar-b", "silent", "node-2", "0.1.0", "2026-01-12T07:00:00Z", 1_204, 12.31),
        ),
        settings=(
            SettingFacts("dsn", "postgresql://crossfade:***@db.internal:5432/crossfade", True),
            SettingFacts("origin", "http://arangodb:8529/", True),
            SettingFacts("origin_password", "***", True),
            SettingFacts("sample_percent", "100.0", False),
        ),
        versions=(("Crossfade", "0.1.0"), ("ArangoDB", "3.12.4"), ("PostgreSQL", "17.2"), ("Python", "3.11.7")),
    )  # fmt: skip
