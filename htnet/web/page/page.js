(() => {
  "use strict";
  const one = (id) => document.getElementById(id);
  const form = one("form"), state = one("state"), bar = one("progress"), answer = one("answer"), frame = one("report");
  // Twice the interval at which the state of a request is polled, ms, and the largest height of the report frame, px.
  const LATER = 500, HIGHEST = 20000;
  let limits = null, running = null, kept = null;

  const source = () => form.elements.source.value;
  const say = (text) => { state.textContent = text; };

  function fail(type, text) {
    one("error-type").textContent = type;
    one("error-text").textContent = text;
    one("error").hidden = false;
    one("error").focus();
  }

  async function asked(url, options) {
    let response;
    try {
      response = await fetch(url, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      // A full server responds before it has read the upload, which browsers may report as a broken connection.
      const now = await fetch("/api/health").then((found) => found.json()).catch(() => null);
      throw now === null
        ? {type: "No connection", message: "The server cannot be reached. Is htnet serve still running?"}
        : {type: "BusyError", message: "The server did not accept the upload: its queue is full, or the file is too large. Try again in a moment."};
    }
    if (response.status === 204) return null;
    const found = await response.json().catch(() => ({}));
    if (!response.ok) throw found.error || {type: "ServerError", message: `The server answered with status ${response.status}.`};
    return found;
  }

  function fit() {
    const video = source() === "video";
    one("pair").hidden = video;
    one("video-fields").hidden = !video;
    one("onset").required = one("apex").required = !video;
    one("video").required = video;
    document.querySelectorAll(".of-pair").forEach((each) => { each.hidden = video; });
    document.querySelectorAll(".of-video").forEach((each) => { each.hidden = !video; });
  }

  function preview(input) {
    const place = document.querySelector(`[data-of="${input.id}"]`);
    place.querySelectorAll("img").forEach((old) => URL.revokeObjectURL(old.src));
    place.replaceChildren();
    const file = input.files[0];
    if (!file) return;
    const picture = new Image();
    picture.alt = `${input.id}: ${file.name}`;
    picture.onerror = () => { URL.revokeObjectURL(picture.src); place.textContent = `${file.name} (browsers cannot show a preview of this format)`; };
    picture.src = URL.createObjectURL(file);
    place.append(picture);
  }

  function describe() {
    const chosen = limits && limits.weights.find((each) => each.name === one("weights").value);
    one("weights-note").textContent = chosen ? [chosen.description, chosen.terms].filter(Boolean).join(". Terms: ") : "";
  }

  async function load() {
    limits = await asked("/api/options");
    one("weights").replaceChildren(...limits.weights.map((each) => new Option(each.name, each.name)));
    one("bit_depth").append(...limits.bit_depths.map((bits) => new Option(`${bits} bits`, bits)));
    one("size-note").textContent = `up to ${limits.upload_mib} MiB`;
    describe();
  }

  function content() {
    const video = source() === "video", sent = new FormData();
    for (const name of video ? ["video"] : ["onset", "apex"]) sent.append(name, one(name).files[0]);
    sent.append("weights", one("weights").value);
    sent.append("always", String(one("always").checked));
    sent.append("faces", String(one("faces").checked));
    if (video) {
      sent.append("look", one("look").value);
      if (one("fps").value) sent.append("fps", one("fps").value);
    } else if (one("bit_depth").value) sent.append("bit_depth", one("bit_depth").value);
    return sent;
  }

  const clock = (time) => `${Math.floor(time / 60)}:${String(Math.floor(time % 60)).padStart(2, "0")}`;
  const told = (job) => job.state === "waiting" ? `Waiting; ${job.before} ahead of this one.`
    : job.stage ? `Working: ${job.stage}, up to ${clock(job.time_s)} of the recording.` : "Working.";

  function busy(on) {
    one("go").disabled = one("example").disabled = on;
    one("cancel").hidden = bar.hidden = !on;
  }

  async function ask() {
    one("error").hidden = answer.hidden = true;
    const sent = content(), stop = new AbortController();
    running = {stop, job: null};
    busy(true);
    try {
      if (kept) fetch(`/api/answers/${kept}`, {method: "DELETE"}).catch(() => {});
      kept = null;
      const size = [...sent.values()].reduce((sum, each) => sum + (each.size || 0), 0);
      if (limits && size > limits.upload_mib * 1048576) {
        throw {type: "TooLargeError", message: `The upload is larger than ${limits.upload_mib} MiB, the limit of this server. Cut or compress the video.`};
      }
      say("Sending the files.");
      let job = await asked("/api/answers", {method: "POST", body: sent, headers: {Prefer: "respond-async"}, signal: stop.signal});
      running.job = job.name;
      while (job.state === "waiting" || job.state === "working") {
        say(told(job));
        await new Promise((done) => setTimeout(done, LATER / 2));
        if (stop.signal.aborted) throw new DOMException("", "AbortError");
        job = await asked(`/api/answers/${job.name}`, {signal: stop.signal});
      }
      if (job.error) throw job.error;
      await show(job);
    } catch (error) {
      if (error.name === "AbortError") say("Cancelled.");
      else { say("The request failed."); fail(error.type || "Error", error.message || String(error)); }
    } finally {
      running = null;
      busy(false);
    }
  }

  async function show(job) {
    const name = (source() === "video" ? one("video") : one("onset")).files[0].name.replace(/\.[^.]*$/, "");
    one("report-link").href = job.report;
    one("report-link").download = `${name}.html`;
    one("json-link").href = job.document;
    one("json-link").download = `${name}.json`;
    kept = job.name;
    answer.hidden = false;
    await new Promise((done) => { frame.onload = done; frame.src = job.report; });
    say("The answer is below.");
    one("answer-title").focus({preventScroll: true});
    answer.scrollIntoView({block: "start"});
  }

  async function example() {
    form.elements.source.value = "pair";
    fit();
    for (const name of ["onset", "apex"]) {
      const data = await fetch(`/example/${name}.png`).then((found) => found.blob());
      const files = new DataTransfer();
      files.items.add(new File([data], `example_${name}.png`, {type: "image/png"}));
      one(name).files = files.files;
      preview(one(name));
    }
    await ask();
  }

  window.addEventListener("message", (event) => {
    const height = event.source === frame.contentWindow && event.data && event.data.htnetReportHeight;
    if (Number.isFinite(height) && height > 0) frame.style.height = `${Math.min(height + 4, HIGHEST)}px`;
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); if (!running) ask(); });
  one("example").addEventListener("click", () => { if (!running) example().catch((error) => fail("No connection", String(error))); });
  one("cancel").addEventListener("click", () => {
    if (!running) return;
    if (running.job) fetch(`/api/answers/${running.job}`, {method: "DELETE"}).catch(() => {});
    running.stop.abort();
  });
  form.querySelectorAll("[name=source]").forEach((each) => each.addEventListener("change", fit));
  ["onset", "apex"].forEach((name) => one(name).addEventListener("change", () => preview(one(name))));
  one("weights").addEventListener("change", describe);
  fit();
  load().catch((error) => fail(error.type || "Error", error.message || String(error)));
})();
