/** Bounds what a source holds and has handed over. */
export interface Budget {
  /** A message came. */
  add(bytes: number): void;
  /** It is kept no more. */
  free(bytes: number): void;
  /** A message is settled. */
  end(): void;
  /** How many messages may be on their way. */
  most(): number;
  /** How many more may be asked for, while `asked` are on their way; none until enough may be at a time. */
  room(asked: number): number;
}

const MESSAGES = 16_000;
const BYTES = 48_000_000;
/** What is on its way cannot be stopped: messages of a size that none had before go beyond the bound by as many. */
const ASKED = 2_000;
/** A large message is remembered for some hundred others. */
const DECAY = 0.99;

/** `maxMessageBytes`: what a message is taken for before there was any. */
export function createBudget(maxMessageBytes: number): Budget {
  let messages = 0;
  let bytes = 0;
  let expectedBytes = maxMessageBytes;
  const most = () => {
    const count = Math.min(ASKED, MESSAGES - messages, Math.floor((BYTES - bytes) / expectedBytes));
    // However large it is, one at a time.
    return Math.max(count, messages === 0 ? 1 : 0);
  };
  return {
    add(size) {
      messages++;
      bytes += size;
      expectedBytes = Math.max(size, 1, expectedBytes * DECAY);
    },
    free(size) {
      bytes -= size;
    },
    end() {
      messages--;
    },
    most,
    room(asked) {
      const wanted = most();
      return asked > wanted / 2 ? 0 : wanted - asked;
    },
  };
}
