import { startEventHubListener } from "./event-hub/listener.ts";
import { startKafkaListener } from "./kafka/listener.ts";
import type { Listener, ListenerContext } from "./listener.ts";
import { startServiceBusListener } from "./service-bus/listener.ts";
import type { Settlement } from "./service-bus/settlement.ts";

/** What the brokers' listeners share. */
export interface BrokerServices {
  settlement: Settlement;
  /** Where checkpoints are kept where no storage account is set. */
  stateDir: string | undefined;
  appDir: string;
}

/** Starts the listener of a broker's trigger. Throws where the type is not known here, or the binding is not right. */
export async function startBrokerListener(context: ListenerContext, { settlement, stateDir, appDir }: BrokerServices): Promise<Listener> {
  switch (context.binding.type) {
    case "serviceBusTrigger":
      return startServiceBusListener(context, settlement);
    case "eventHubTrigger":
      return startEventHubListener(context, stateDir);
    case "kafkaTrigger":
      return startKafkaListener(context, appDir);
    default:
      throw new Error(`the binding type '${context.binding.type}' is not known here`);
  }
}
