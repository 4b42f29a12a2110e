// Several streams as one, items as they come.

export async function* merged<Item>(streams: readonly AsyncGenerator<Item, void, void>[]): AsyncGenerator<readonly [number, Item], void, void> {
  const next = (stream: AsyncGenerator<Item, void, void>, place: number) => stream.next().then((result) => ({ place, result }));
  const pending = new Map(streams.map((stream, place) => [place, next(stream, place)]));
  try {
    while (pending.size > 0) {
      const { place, result } = await Promise.race(pending.values());
      if (result.done === true) pending.delete(place);
      else {
        pending.set(place, next(streams[place]!, place));
        yield [place, result.value];
      }
    }
  } finally {
    await Promise.allSettled(streams.map((stream) => stream.return()));
  }
}
