// Letting the rest of the thread have its turn. A forward on the processor never waits for anything, so without this no message (a
// cancellation, another request) would be read while an answer is made; timers would cost four milliseconds a token.

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port2.onmessage = () => {
      port2.close();
      resolve();
    };
    port1.postMessage(undefined);
  });
}
