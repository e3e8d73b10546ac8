/** Lets a bounded number of works through at a time, with a bounded sum of bytes, in the order of asking. */
export interface Gate {
  /** Runs `work` as soon as there is room; more bytes than the bound pass alone. */
  run<T>(bytes: number, work: () => Promise<T>): Promise<T>;
}

export function createGate(maxWorks: number, maxBytes: number): Gate {
  const waiting: { bytes: number; enter: () => void }[] = [];
  let works = 0;
  let heldBytes = 0;
  const hasRoom = (bytes: number) => works === 0 || (works < maxWorks && heldBytes + bytes <= maxBytes);
  const admit = (bytes: number) => {
    works++;
    heldBytes += bytes;
  };
  const leave = (bytes: number) => {
    works--;
    heldBytes -= bytes;
    for (let next = waiting[0]; next && hasRoom(next.bytes); next = waiting[0]) {
      waiting.shift();
      admit(next.bytes);
      next.enter();
    }
  };
  return {
    async run(bytes, work) {
      if (waiting.length === 0 && hasRoom(bytes)) admit(bytes);
      else await new Promise<void>((enter) => waiting.push({ bytes, enter }));
      try {
        return await work();
      } finally {
        leave(bytes);
      }
    },
  };
}
