/** Whether a server can be reached from where the page was opened. */

const OWN_MACHINE = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/;

/** An address of the server's own machine is of no use to a page that came from another one. */
export function isReachable(url: string | undefined, pageHost: string = location.hostname): boolean {
  if (!url || !URL.canParse(url)) return true;
  return !OWN_MACHINE.test(new URL(url).hostname) || OWN_MACHINE.test(pageHost);
}
