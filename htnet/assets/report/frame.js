// Shown inside another page, the report tells that page how high it is.
if (parent !== window) {
  new ResizeObserver(() => parent.postMessage({htnetReportHeight: Math.ceil(document.body.getBoundingClientRect().height)}, "*")).observe(document.body);
}
