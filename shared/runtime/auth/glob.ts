/**
 * Whether `name` fits `glob`, in which `*` stands for any text and all else for itself.
 * It remembers one star only, so a hostile glob costs at most the product of both lengths.
 */
export function fitsGlob(glob: string, name: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  let next = 0;
  while (next < name.length) {
    if (glob[at] === "*") {
      star = at++;
      resume = next;
    } else if (glob[at] === name[next]) {
      at++;
      next++;
    } else if (star >= 0) {
      at = star + 1;
      next = ++resume;
    } else {
      return false;
    }
  }
  while (glob[at] === "*") at++;
  return at === glob.length;
}
