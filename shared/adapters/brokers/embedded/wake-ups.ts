/** Tells waiting receives of this process that a topic may have something for them. */
export interface WakeUps {
  notify(topic: string): void;
  notifyAll(): void;
  /** Listens until `stop`: what is told between two waits is not missed. */
  listen(topic: string): Listener;
}

export interface Listener {
  /** Resolves after `ms`, or once the topic was notified since the last wait ended, or when `signal` aborts. */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
  stop(): void;
}

export function createWakeUps(): WakeUps {
  const listeners = new Map<string, Set<() => void>>();
  const notify = (topic: string) => {
    for (const wake of listeners.get(topic) ?? []) wake();
  };
  return {
    notify,
    notifyAll() {
      for (const topic of listeners.keys()) notify(topic);
    },
    listen(topic) {
      let isNotified = false;
      let end: (() => void) | undefined;
      const wake = () => {
        isNotified = true;
        end?.();
      };
      const ofTopic = listeners.get(topic) ?? new Set();
      listeners.set(topic, ofTopic.add(wake));
      return {
        async wait(ms, signal) {
          if (!isNotified && !signal?.aborted) {
            await new Promise<void>((resolve) => {
              const timer = setTimeout(resolve, ms);
              signal?.addEventListener("abort", wake, { once: true });
              end = () => {
                clearTimeout(timer);
                resolve();
              };
            });
            signal?.removeEventListener("abort", wake);
          }
          end = undefined;
          isNotified = false;
        },
        stop() {
          ofTopic.delete(wake);
          if (ofTopic.size === 0 && listeners.get(topic) === ofTopic) listeners.delete(topic);
        },
      };
    },
  };
}
