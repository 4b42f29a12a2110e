// One answer as it comes: tokens of the engine become settled text, watched for stop strings.

import type { TokenEvent, Usage } from "../engine/sequence.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { StreamOptions } from "../text/stream.ts";
import { StopStrings } from "../text/stop.ts";
import type { FinishReason, TokenLogprob, TopLogprob } from "./types.ts";

/** A piece of an answer. */
export interface Piece {
  readonly text: string;
  readonly logprobs: readonly TokenLogprob[];
  /** The tokens that were drawn since the piece before, one that ended the answer among them. */
  readonly tokens: readonly number[];
  /** With the last piece. */
  readonly finish?: FinishReason;
  readonly usage?: Usage;
}

export interface AnswerOptions extends StreamOptions {
  readonly stops: readonly string[];
  /** Tokens whose text is no part of the answer where they end it. */
  readonly endIds: ReadonlySet<number>;
  /** Ends the answer. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Leaving the loop ends the request, and so does a stop string.
 *
 * @param begin starts the request, which ends with the signal.
 */
export async function* answerOf(
  begin: (signal: AbortSignal) => AsyncIterableIterator<TokenEvent>,
  tokenizer: Tokenizer,
  options: AnswerOptions,
): AsyncGenerator<Piece, void, void> {
  const ending = new AbortController();
  const onAbort = (): void => ending.abort();
  options.signal?.addEventListener("abort", onAbort, { once: true });
  if (options.signal?.aborted === true) ending.abort();
  const stream = tokenizer.stream(options);
  const stops = new StopStrings(options.stops);
  let logprobs: TokenLogprob[] = []; // of tokens whose text is not settled yet
  let tokens: number[] = [];
  try {
    for await (const event of begin(ending.signal)) {
      const { token, finish, usage } = event;
      const isEnd = finish === "stop" && options.endIds.has(token!);
      let text = "";
      if (token !== undefined && stops.found === undefined) tokens.push(token);
      if (token !== undefined && !isEnd && stops.found === undefined) {
        text = stops.push(stream.push(token));
        if (event.logprob !== undefined) logprobs.push(tokenLogprob(event, tokenizer));
      }
      if (finish !== undefined) {
        text += stops.push(stream.finish()) + stops.finish();
        const reason = stops.found !== undefined ? "stop" : finish === "cancelled" ? "abort" : finish;
        yield { text, logprobs, tokens, finish: reason, ...(usage && { usage }) };
      } else if (text !== "") {
        yield { text, logprobs, tokens };
        [logprobs, tokens] = [[], []];
      }
      if (stops.found !== undefined) ending.abort(); // the last event follows, with what the request has cost
    }
  } finally {
    options.signal?.removeEventListener("abort", onAbort);
  }
}

function tokenLogprob(event: TokenEvent, tokenizer: Tokenizer): TokenLogprob {
  const told = (id: number, logprob: number): TopLogprob => ({
    token: tokenizer.tokenText(id),
    bytes: [...tokenizer.tokenBytes(id)],
    logprob,
  });
  return {
    ...told(event.token!, event.logprob!),
    top_logprobs: (event.topLogprobs ?? []).map(([id, logprob]) => told(id, logprob)),
  };
}
