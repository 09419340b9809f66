// Document and cursor calls of arangojs, unmodified. `node program.mjs URL`: prints one line a check, exits 1 on the first that fails.
import assert from "node:assert/strict";
import { Database } from "arangojs";

const system = new Database({ url: process.argv[2], auth: { username: "root", password: "" } });
const name = "script";
const database = await system.createDatabase(name);
const checks = {
  async "documents by key"(people) {
    const made = await people.save({ _key: "ann", age: 30.0, tags: ["a", { b: null }] }, { returnNew: true });
    assert.equal(made.new.age, 30);
    const read = await people.document("ann");
    assert.equal(read._rev, made._rev);
    assert.deepEqual(read.tags, ["a", { b: null }]);
    assert.equal(await people.documentExists("ann"), true);
    assert.equal(await people.document("none", { graceful: true }), null);
    const changed = await people.update("ann", { age: null }, { keepNull: false, returnOld: true });
    assert.equal(changed.old.age, 30);
    assert.equal("age" in (await people.document("ann")), false);
    const replaced = await people.replace("ann", { name: "Ann" });
    assert.equal(replaced._oldRev, changed._rev);
    await assert.rejects(people.replace("ann", {}, { ifMatch: made._rev }), (error) => error.errorNum === 1200);
    await assert.rejects(people.save({ _key: "ann" }), (error) => error.errorNum === 1210);
    assert.equal((await people.save({ _key: "ann", x: 1 }, { overwriteMode: "ignore" }))._rev, replaced._rev);
    await people.remove("ann");
    assert.equal(await people.documentExists("ann"), false);
  },
  async "many documents"(people) {
    const made = await people.saveAll([{ _key: "a" }, { _key: "b" }, { _key: "a" }]);
    assert.deepEqual(made.map((one) => one.errorNum ?? 0), [0, 0, 1210]);
    const read = await people.documents(["b", "none", "a"]);
    assert.deepEqual(read.map((one) => one._key ?? one.errorNum), ["b", 1202, "a"]);
    await people.updateAll([{ _key: "a", n: 1 }, { _key: "b", n: 2 }]);
    assert.equal((await people.document("b")).n, 2);
    const removed = await people.removeAll(["a", "b", "none"]);
    assert.deepEqual(removed.map((one) => one.errorNum ?? 0), [0, 0, 1202]);
  },
  async "import and count"(people) {
    const found = await people.import([{ _key: "x", n: 1 }, { _key: "y", n: 2 }, { _key: "x" }], { onDuplicate: "ignore" });
    assert.deepEqual([found.created, found.ignored], [2, 1]);
    assert.equal((await people.count()).count, 2);
  },
  async "cursors in batches"(people) {
    await people.saveAll(Array.from({ length: 25 }, (_, n) => ({ _key: `k${n}`, n })));
    const cursor = await database.query(
      "FOR d IN @@c FILTER d.n >= @low SORT d.n LIMIT 2, 10 RETURN d.n",
      { "@c": people.name, low: 5 },
      { count: true, batchSize: 4, fullCount: true },
    );
    assert.equal(cursor.count, 10);
    assert.equal(cursor.extra.stats.fullCount, 20);
    assert.deepEqual(await cursor.all(), [7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    const batches = await database.query("FOR i IN 1..5 RETURN i", {}, { batchSize: 2 });
    const seen = [];
    for await (const batch of batches.batches) seen.push(batch.length);
    assert.deepEqual(seen, [2, 2, 1]);
    const left = await database.query("FOR d IN @@c RETURN d", { "@c": people.name }, { batchSize: 3 });
    await left.kill();
    await assert.rejects(database.query("FOR d IN nowhere RETURN d"), (error) => error.errorNum === 1203);
  },
  async "queries that modify"(people) {
    await database.query("FOR i IN 1..3 INSERT {_key: TO_STRING(i), n: i} INTO @@c", { "@c": people.name });
    const changed = await database.query(
      "FOR d IN @@c FILTER d.n > 1 UPDATE d WITH {n: d.n * 10} IN @@c SORT OLD.n RETURN NEW.n",
      { "@c": people.name },
    );
    assert.deepEqual(await changed.all(), [20, 30]);
    const sum = await database.query("RETURN SUM(FOR d IN @@c RETURN d.n)", { "@c": people.name });
    assert.equal(await sum.next(), 51);
  },
};
try {
  for (const [title, check] of Object.entries(checks)) {
    const people = await database.createCollection("people");
    await check(people);
    await people.drop();
    console.log(`ok ${title}`);
  }
} finally {
  await system.dropDatabase(name);
}
