/** How many bytes a kind has that stands for a number, a character or a UUID. */
const WIDTHS: Readonly<Record<string, number>> = {
  ...{ long: 8, timestamp: 8, double: 8 },
  ...{ "amqp:ubyte": 1, "amqp:ushort": 2, "amqp:uint": 4, "amqp:ulong": 8 },
  ...{ "amqp:byte": 1, "amqp:short": 2, "amqp:int": 4, "amqp:float": 4, "amqp:char": 4, "amqp:uuid": 16 },
};

/** What the bytes of an attribute stand for, where that is a number, a character, a UUID or a symbol: also of AMQP's own kinds. */
export function shownValue(kind: string, value: Uint8Array): number | string | undefined {
  if (kind === "amqp:symbol") return Buffer.from(value).toString("latin1");
  if (value.length !== WIDTHS[kind]) return undefined;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  switch (kind) {
    case "long":
    case "timestamp":
      return jsonInteger(view.getBigInt64(0));
    case "double":
      return jsonNumber(view.getFloat64(0));
    case "amqp:ubyte":
      return view.getUint8(0);
    case "amqp:ushort":
      return view.getUint16(0);
    case "amqp:uint":
      return view.getUint32(0);
    case "amqp:ulong":
      return jsonInteger(view.getBigUint64(0));
    case "amqp:byte":
      return view.getInt8(0);
    case "amqp:short":
      return view.getInt16(0);
    case "amqp:int":
      return view.getInt32(0);
    case "amqp:float":
      return jsonNumber(shortestOf(view.getFloat32(0)));
    case "amqp:uuid":
      return uuidText(view);
    default:
      return characterOf(view.getUint32(0));
  }
}

/** The number with the fewest digits that is this one in 32 bits: what whoever wrote it had in mind. */
function shortestOf(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return shorter;
  }
  return value;
}

function uuidText(view: DataView): string {
  const hex = Array.from({ length: 16 }, (_, i) => view.getUint8(i).toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function characterOf(codePoint: number): string | undefined {
  const isSurrogate = codePoint >= 0xd800 && codePoint <= 0xdfff;
  return codePoint > 0x10ffff || isSurrogate ? undefined : String.fromCodePoint(codePoint);
}

/** JSON has no NaN and no infinities: those become their text. */
function jsonNumber(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

/** A whole number as JSON holds it exactly: as text past 2^53. */
export function jsonInteger(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}
