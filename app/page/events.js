/** Server-sent events over fetch: unlike EventSource, it can carry a token. */

/** The JSON of each event's data, until the stream ends. */
export async function* readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let unread = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    unread += value;
    const events = unread.split(/\r?\n\r?\n/);
    unread = events.pop();
    for (const event of events) {
      const data = dataOf(event);
      if (data) yield JSON.parse(data);
    }
  }
}

function dataOf(event) {
  const lines = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5).trimStart()).join("\n");
}
