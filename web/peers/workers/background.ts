// The service worker of an extension, as web-llm's example has it.

import { ExtensionServiceWorkerMLCEngineHandler } from "@mlc-ai/web-llm";

type Port = ConstructorParameters<typeof ExtensionServiceWorkerMLCEngineHandler>[0];
declare const chrome: { runtime: { onConnect: { addListener(listener: (port: Port) => void): void } } };

let handler: ExtensionServiceWorkerMLCEngineHandler | undefined;

chrome.runtime.onConnect.addListener((port) => {
  if (handler === undefined) handler = new ExtensionServiceWorkerMLCEngineHandler(port);
  else handler.setPort(port);
  port.onMessage.addListener(handler.onmessage.bind(handler));
});
