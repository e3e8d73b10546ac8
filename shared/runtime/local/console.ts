import cliProgress from "cli-progress";

/** What the local host tells a person, on standard output. Logs go to standard error. */
export interface Console {
  say(line?: string): void;
  /** A bar on a terminal; elsewhere a plain line at every tenth. */
  progress(label: string, total: number): { update(done: number): void; stop(): void };
}

export function openConsole(out: NodeJS.WriteStream = process.stdout): Console {
  const say = (line = "") => void out.write(`${line}\n`);
  return { say, progress: (label, total) => (out.isTTY ? bar(label, total, out) : plainLines(label, total, say)) };
}

function bar(label: string, total: number, stream: NodeJS.WriteStream) {
  const single = new cliProgress.SingleBar(
    { format: `${label} {bar} {percentage}% | {value} of {total}`, hideCursor: true, clearOnComplete: false, stream },
    cliProgress.Presets.shades_classic,
  );
  single.start(total, 0);
  return { update: (done: number) => single.update(done), stop: () => single.stop() };
}

function plainLines(label: string, total: number, say: (line: string) => void) {
  let tenths = 0;
  return {
    update(done: number) {
      const reached = Math.floor((done / total) * 10);
      if (reached <= tenths) return;
      tenths = reached;
      say(`${label} ${done} of ${total}`);
    },
    stop: () => undefined,
  };
}
