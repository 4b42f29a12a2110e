// The token that lets this browser in. It comes with the link that `hearth app` printed, in the fragment, which browsers
// send to nobody, and stays in the storage of this origin: other ports of this machine cannot read it, as they could a cookie.

const KEY = "hearth.token";

/** What a link brings: the token, or a ticket that the server changes for it, once. */
export function parseEntry(hash: string): { kind: "token" | "ticket"; value: string } | null {
  const match = /^#(token|ticket)=([\w-]+)$/.exec(hash);
  return match ? { kind: match[1] as "token" | "ticket", value: match[2]! } : null;
}

let token = stored();

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage is switched off: the link lets in until the page is closed
  }
}

function keep(value: string): void {
  token = value;
  try {
    localStorage.setItem(KEY, value);
  } catch {
    // as above
  }
}

/** The header that every request of the API carries. */
export function authorization(): Record<string, string> {
  token ??= stored(); // another window may have been let in meanwhile
  return token ? { authorization: `Bearer ${token}` } : {};
}

/** Another window may have got a newer token. */
export function refreshToken(): void {
  token = stored() ?? token;
}

/** Takes what the link brought and leaves no trace of it in the address. False: it brought nothing. */
export async function enter(): Promise<boolean> {
  const entry = parseEntry(location.hash);
  if (!entry) return false;
  history.replaceState(null, "", "#/");
  if (entry.kind === "token") {
    keep(entry.value);
    return true;
  }
  try {
    const response = await fetch("/api/entry", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ticket: entry.value }),
    });
    if (response.ok) keep(((await response.json()) as { token: string }).token);
  } catch {
    // it does not answer: what comes next says so
  }
  return true;
}
