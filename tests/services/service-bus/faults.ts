import { createLater } from "./later.ts";
import type { AmqpError } from "./rhea-server.ts";
import { book, createResuming } from "./throttles.ts";

interface OfEntity {
  /** An address that links name: the fault is of those to it and to all below it. Default: of all. */
  entity?: string;
}

interface Condition {
  /** `com.microsoft:server-busy`, `amqp:internal-error` ... */
  condition: string;
  description?: string;
}

/** What goes wrong at links; of each kind, event and entity the one injected last. */
export type LinkFault =
  /** Cuts the connection at the `nth` (default: next) transfer or settlement, before or after it has taken effect, without an answer. */
  | ({ kind: "drop-at"; event: "transfer" | "settlement"; when: "before" | "after"; nth?: number } & OfEntity)
  /** Answers the next `times` (default 1) sends with an error, and takes nothing. */
  | ({ kind: "answer-sends"; times?: number } & Condition & OfEntity)
  /** Answers the next `times` (default 1) settlements with an error, and settles nothing. */
  | ({ kind: "answer-settlements"; times?: number } & Condition & OfEntity)
  /** Answers sends and settlements later than they take effect. */
  | ({ kind: "delay-answers"; ms: number } & OfEntity)
  /** Answers sends, and delivers messages, at this rate at most. */
  | ({ kind: "throttle"; messagesPerS: number } & OfEntity);

/** What a client does that is to be answered. */
export interface Act {
  event: "transfer" | "settlement";
  /** Address that its link names. */
  entity: string;
  /** How many messages it is about. */
  count: number;
  /** Has the effect; returns the error to answer with. */
  take(): AmqpError | undefined;
  answer(error: AmqpError | undefined): void;
  /** Cuts the client's connection. */
  drop(): void;
}

export interface Faults {
  inject(fault: LinkFault): void;
  /** Ends all faults; answers that are late are given at once. */
  clear(): void;
  /** Has something take effect and answers it, as far as the faults let it. */
  meet(act: Act): void;
  /** Whether a message of an entity may be delivered now; where not, `onMayFlow` is called when one may. */
  mayFlow(entity: string): boolean;
}

type Kind = LinkFault["kind"];
/** `left`: how often it still strikes, or how far off it is. */
type Injected<K extends Kind = Kind> = Extract<LinkFault, { kind: K }> & { left: number; freeAtMs: number };

/** No faults yet. */
export function createFaults(onMayFlow: (entity: string) => void): Faults {
  const faults = new Map<string, Injected>();
  const resuming = createResuming(onMayFlow);
  const answers = createLater();
  const find = <K extends Kind>(kind: K, address: string, isMeant: (fault: Injected<K>) => boolean = () => true) =>
    faults.values().find((fault): fault is Injected<K> => {
      return fault.kind === kind && isAtOrBelow(address, fault.entity) && isMeant(fault as Injected<K>);
    });
  /** Counts down; the fault is over after its last time. */
  const use = (fault: Injected) => {
    fault.left--;
    if (fault.left <= 0) faults.delete(keyOf(fault));
    return fault.left;
  };
  const dropping = ({ event, entity }: Act) => {
    const fault = find("drop-at", entity, (candidate) => candidate.event === event);
    return fault && use(fault) <= 0 ? fault.when : undefined;
  };
  const refusing = ({ event, entity }: Act): AmqpError | undefined => {
    const fault = find(event === "transfer" ? "answer-sends" : "answer-settlements", entity);
    if (!fault) return undefined;
    use(fault);
    return { condition: fault.condition, description: fault.description ?? `A fault was asked for: ${fault.condition}.` };
  };
  const waitMs = ({ event, entity, count }: Act) => {
    const throttle = event === "transfer" ? find("throttle", entity) : undefined;
    return (find("delay-answers", entity)?.ms ?? 0) + (throttle ? book(throttle, count) : 0);
  };
  return {
    inject(fault) {
      const left = ("times" in fault ? fault.times : "nth" in fault ? fault.nth : undefined) ?? 1;
      faults.set(keyOf(fault), { ...fault, left, freeAtMs: 0 });
    },
    clear() {
      faults.clear();
      answers.now();
      resuming.now();
    },
    meet(act) {
      if (faults.size === 0) return act.answer(act.take());
      const drop = dropping(act);
      if (drop === "before") return act.drop();
      const error = refusing(act) ?? act.take();
      if (drop === "after") return act.drop();
      const ms = waitMs(act);
      if (ms > 0) answers.after(ms, () => act.answer(error));
      else act.answer(error);
    },
    mayFlow: (entity) => faults.size === 0 || resuming.mayGo(entity, find("throttle", entity)),
  };
}

const keyOf = (fault: LinkFault): string => `${fault.kind} ${"event" in fault ? fault.event : ""} ${fault.entity?.toLowerCase() ?? ""}`;

/** Whether an address is that of an entity, or below it. */
export const isAtOrBelow = (address: string, entity: string | undefined): boolean =>
  entity === undefined || `${address}/`.toLowerCase().startsWith(`${entity}/`.toLowerCase());
