import { join } from "node:path";
import { open } from "../../../shared/adapters/stores/fs/adapter.ts";
import { readObject } from "../../../shared/core/avro/object-file.ts";
import { type IndexRecord, indexRecordOf } from "../../../shared/core/index-record.ts";
import { NO_LOG } from "../../../shared/core/ports/log.ts";
import { openBareTable } from "../../lib/bare-table.ts";
import type { Measure } from "../../lib/child.ts";
import { timed } from "../../lib/timing.ts";

/** What lies in the files of a data folder. */
export interface BareRecordsOrder {
  dataDir: string;
  count: number;
}

/** Milliseconds that inserting the index records of what is stored into one plain table takes, in one thread, an object's in one transaction. */
export const measure: Measure<BareRecordsOrder, number> = async ({ dataDir, count }) => {
  const objects = await open({}, { dataDir, log: NO_LOG });
  const table = openBareTable(join(dataDir, "bare.db"));
  let ms = 0;
  let inserted = 0;
  for await (const { key } of objects.list("")) {
    const records: IndexRecord[] = [];
    const { bytes } = await objects.get(key);
    for await (const block of readObject(bytes, { brokerId: "", pipeline: "", topic: "" })) {
      if ("fault" in block) throw block.fault.error;
      const { codec, formatVersion } = block;
      for (const { record, location } of block.records)
        records.push({ ...indexRecordOf(record, { store: "local", key, codec, formatVersion, location }), content_type: "" });
    }
    ms += await timed(() => table.insert(records));
    inserted += records.length;
  }
  table.database.close();
  if (inserted !== count) throw new Error(`inserting ${count} records: ${inserted} are stored`);
  return ms;
};
