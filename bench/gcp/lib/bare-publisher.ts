import type { Measure } from "../../lib/child.ts";
import { type PublishOrder, publishFlights } from "./pubsub.ts";

/** Milliseconds that publishing takes, in a process of its own. */
export const measure: Measure<PublishOrder, number> = publishFlights;
