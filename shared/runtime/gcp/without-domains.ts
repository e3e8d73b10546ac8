import domain, { type Domain } from "node:domain";
import { EventEmitter } from "node:events";

/**
 * Has the functions framework run requests without a domain of their own.
 *
 * It makes one for each request to catch what a function throws. Node then tracks every promise there is (through async hooks), which took more
 * than half of the time of a push. Our handlers catch everything themselves; what they would miss ends the instance, as any uncaught error does.
 */
export function runWithoutDomains(): void {
  domain.create = () => Object.assign(new EventEmitter(), { run: (work: () => unknown) => work() }) as unknown as Domain;
}
