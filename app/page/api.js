/** Requests to the service: the token, and every error in the server's own words. */

const TOKEN = "token";

/** An answer that is not a success; `message` is what the server said. */
export class ApiError extends Error {
  constructor(status, message, body = null) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

export class Api {
  /** Whether the service has asked for a token. */
  needsToken = false;

  /**
   * @param {(isRefused: boolean) => Promise<string>} askForToken resolves to a token, "" if the
   *   user has none; it is told whether one was refused.
   */
  constructor(askForToken) {
    this.askForToken = askForToken;
    this.needsToken = this.token !== "";
  }

  /** The token of this browser session, "" if none was needed. */
  get token() {
    return sessionStorage.getItem(TOKEN) ?? "";
  }

  set token(value) {
    sessionStorage.setItem(TOKEN, value);
  }

  /**
   * The response of a request, once a token was given if one is needed.
   * @throws {ApiError} any answer that is not a success, and no answer (status 0)
   */
  async request(path, { method = "GET", body = null, signal = null } = {}) {
    for (;;) {
      const used = this.token;
      const response = await this.#send(path, method, body, signal);
      if (response.ok) return response;
      const error = await readError(response);
      if (error.status !== 401) throw error;
      this.needsToken = true;
      // Another request may have been given a token while this one was on its way.
      if (this.token === used) {
        const given = await this.askForToken(used !== "");
        if (!given) throw error;
        this.token = given;
      }
    }
  }

  /** The JSON of a request's answer. */
  async json(path, options) {
    return (await this.request(path, options)).json();
  }

  async #send(path, method, body, signal) {
    const headers = {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (body !== null) headers["Content-Type"] = "application/json";
    try {
      return await fetch(path, {
        method,
        headers,
        signal,
        body: body === null ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, `The service cannot be reached (${error.message}).`);
    }
  }
}

async function readError(response) {
  const text = await response.text();
  let body = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: plain words are shown as they are, a proxy's page is not.
  }
  const isPage = response.headers.get("Content-Type")?.startsWith("text/html");
  const fallback = (!isPage && text) || `${response.status} ${response.statusText}`.trim();
  return new ApiError(response.status, wording(body) || fallback, body);
}

/** The message in an error's body: a string, a message's object or a list of issues. */
function wording(body) {
  const detail = body?.detail ?? body?.error ?? body?.message;
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) return detail.map(issue).join("\n");
  return detail?.msg ?? detail?.message ?? "";
}

function issue({ loc, msg }) {
  const place = loc.filter((part) => part !== "body" && part !== "input").join(".");
  return place ? `${place}: ${msg}` : msg;
}
