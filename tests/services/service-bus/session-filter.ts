import rhea, { type Sender, type Typed } from "rhea";

const FILTER = "com.microsoft:session-filter";
const TIMEOUT = "com.microsoft:timeout";
const DEFAULT_WAIT_MS = 60_000;
/** .NET's ticks of 100 ns at the beginning of 1970. */
const EPOCH_TICKS = 621_355_968_000_000_000n;

/** The session that a receiver asks for: by its id, or the next free one, for which it waits. */
export interface SessionAsked {
  id: string | undefined;
  waitMs: number;
}

/** Undefined where the receiver asks for no session. */
export function sessionAsked({ source, properties }: Sender): SessionAsked | undefined {
  const filter = (source?.filter ?? {}) as Record<string, string | Typed | null>;
  if (!(FILTER in filter)) return undefined;
  const asked = filter[FILTER];
  const id = typeof asked === "object" && asked !== null ? asked.value : asked;
  return { id: id ?? undefined, waitMs: Number(properties?.[TIMEOUT] ?? DEFAULT_WAIT_MS) };
}

/** Tells the client which session it has got, and until when. */
export function answerSession(sender: Sender, id: string, lockedUntilMs: number): Record<string, unknown> {
  sender.set_source({ address: sender.source.address, filter: { [FILTER]: id } });
  return { properties: { "com.microsoft:locked-until-utc": ticks(lockedUntilMs) } };
}

function ticks(ms: number): Typed {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(EPOCH_TICKS + BigInt(Math.round(ms)) * 10_000n);
  return rhea.types.wrap_long(bytes as unknown as number);
}
