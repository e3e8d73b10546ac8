/** A lock token, whose bytes are given in hex as they come over AMQP, in the form in which calls name it: those of a .NET Guid have its first three parts reversed. */
export function guidOf(hex: string): string {
  const reversed = (from: number, to: number) => hex.slice(from, to).match(/../g)?.reverse().join("") ?? "";
  return [reversed(0, 8), reversed(8, 12), reversed(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
