// The page to try the interface: each form asks its route and shows the answer.
for (const form of document.querySelectorAll("form"))
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = new Map(
      [...new FormData(form)].map(([name, value]) => [
        name,
        typeof value === "string" ? value : "",
      ]),
    );
    const { method = "GET", path = "/" } = form.dataset;
    const query = new URLSearchParams();
    for (const [name, value] of values)
      if (value !== "" && name !== "$body" && !path.includes(`{${name}}`)) query.set(name, value);
    const address = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(values.get(name) ?? ""),
    );
    const body = values.get("$body");
    const output = form.querySelector("pre")!;
    const stop = AbortSignal.timeout(5_000);
    const init: RequestInit = {
      method,
      signal: stop,
      ...(body ? { body, headers: { "content-type": "application/json" } } : {}),
    };
    void fetch(query.size === 0 ? address : `${address}?${query}`, init)
      .then(async (response) => {
        output.textContent = `${response.status} ${response.statusText}\n${(await response.text()).slice(0, 20_000)}`;
      })
      .catch((error: Error) => (output.textContent = error.message));
  });
