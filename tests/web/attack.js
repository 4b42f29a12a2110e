// Everything that a page can send, and whatever of an answer it gets to see. Run by test_attack.py.
async ({ target, talk, token }) => {
  const seen = [];
  const within = (promise, ms = 3000) => Promise.race([promise, new Promise((done) => setTimeout(done, ms))]);
  const read = async (how, path, init) => {
    try {
      const response = await within(fetch(target + path, init));
      if (response && response.type !== "opaque" && response.ok) seen.push([how, path, await response.text()]);
    } catch {}
  };
  const reads = ["/api/conversations", `/api/conversations/${talk}`, `/api/conversations/${talk}/export`, "/api/status",
                 "/api/models", "/v1/models", "/metrics", "/health", "/openapi.json", "/"];
  const chat = { model: "starter", messages: [{ role: "user", content: "Hello" }], max_tokens: 4 };
  const writes = [
    ["/api/conversations", { title: "planted" }],
    [`/api/conversations/${talk}/messages`, { parent: null, content: "planted" }],
    [`/api/conversations/${talk}/stop`, {}],
    ["/api/entry", { ticket: "guess" }],
    ["/v1/chat/completions", chat],
    ["/v1/messages", chat],
    ["/v1/completions", { model: "starter", prompt: "Hello", max_tokens: 4 }],
    ["/v1/models/starter/unload", {}],
  ];
  const credentials = "include";
  const keys = token ? [{}, { authorization: `Bearer ${token}` }] : [{}];
  const tries = [];
  for (const headers of keys) {
    for (const mode of ["cors", "no-cors"]) {
      for (const path of reads) tries.push(read(`GET ${mode}`, path, { mode, credentials, headers }));
      for (const [path, body] of writes)
        for (const type of ["application/json", "text/plain", "application/x-www-form-urlencoded"])
          tries.push(read(`POST ${mode} ${type}`, path, {
            method: "POST", mode, credentials, body: JSON.stringify(body), headers: { ...headers, "content-type": type },
          }));
      for (const method of ["DELETE", "PATCH"])
        tries.push(read(`${method} ${mode}`, `/api/conversations/${talk}`, { method, mode, credentials, headers }));
    }
  }
  await Promise.all(tries);
  for (const [path, body] of writes) navigator.sendBeacon(target + path, JSON.stringify(body));

  const loads = (how, element, path) => within(new Promise((done) => {
    element.onload = () => { seen.push([how, path, "loaded"]); done(); };
    element.onerror = done;
    document.body.append(element);
  }), 1500);
  const scripts = ["/api/conversations", `/api/conversations/${talk}/export`, "/v1/models", "/metrics", "/theme.js", "/openapi.json"];
  await Promise.all([
    ...scripts.map((path) => loads("script", Object.assign(document.createElement("script"), { src: target + path }), path)),
    ...["/hearth.svg", "/api/status"].map((path) => loads("img", Object.assign(new Image(), { src: target + path }), path)),
    loads("style", Object.assign(document.createElement("link"), { rel: "stylesheet", href: target + "/api/conversations" }), "css"),
  ]);

  for (const [number, [path, body]] of writes.entries()) {
    const frame = Object.assign(document.createElement("iframe"), { name: `form${number}` });
    const form = Object.assign(document.createElement("form"), {
      method: "post", action: target + path, enctype: "text/plain", target: frame.name,
    });
    const text = JSON.stringify(body);  // a form of plain text can write JSON: {"...": "=", ...}
    form.append(Object.assign(document.createElement("input"), { name: `${text.slice(0, -1)}${text === "{}" ? "" : ","}"x":"`, value: '"}' }));
    document.body.append(frame, form);
    form.submit();
  }
  const frames = ["/", "/api/conversations", `/api/conversations/${talk}/export`, "/metrics"].map((path) => {
    const frame = Object.assign(document.createElement("iframe"), { src: target + path });
    document.body.append(frame);
    return [path, frame];
  });
  const silent = [
    within(new Promise((done) => {
      const source = new EventSource(target + "/api/conversations", { withCredentials: true });
      source.onopen = source.onmessage = () => { seen.push(["EventSource", "", "opened"]); done(); };
      source.onerror = () => { source.close(); done(); };
    })),
    ...["/", "/api/conversations", "/v1/chat/completions"].map((path) => within(new Promise((done) => {
      const socket = new WebSocket(target.replace("http", "ws") + path);
      socket.onopen = () => { seen.push(["WebSocket", path, "opened"]); done(); };
      socket.onerror = done;
    }))),
  ];
  await Promise.all(silent);
  await new Promise((done) => setTimeout(done, 700));
  for (const [path, frame] of frames) {
    let text = null;
    try { text = frame.contentDocument && frame.contentDocument.body.innerText; } catch {}
    if (text) seen.push(["iframe", path, text]);
  }
  const stored = Object.values(localStorage).join(" ");
  return { seen, stored };
}
