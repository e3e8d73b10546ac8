/** Something that is on or off, and takes time to become so. */
export interface Switch {
  /** What was last asked for. */
  readonly isWanted: boolean;
  /** Resolves once it is as was last asked. */
  set(isOn: boolean): Promise<void>;
}

/** Changes are made one at a time; those that were asked for and taken back meanwhile are left out. Neither of them may throw. */
export function createSwitch(turnOn: () => Promise<void>, turnOff: () => Promise<void>): Switch {
  let isWanted = false;
  let isOn = false;
  let changing: Promise<void> | undefined;
  const change = async (): Promise<void> => {
    while (isOn !== isWanted) {
      const to = isWanted;
      await (to ? turnOn() : turnOff());
      isOn = to;
    }
    changing = undefined;
  };
  return {
    get isWanted() {
      return isWanted;
    },
    async set(on) {
      isWanted = on;
      if (isOn === isWanted && !changing) return;
      changing ??= change();
      await changing;
    },
  };
}
