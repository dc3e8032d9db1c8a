/* First of all: an error must be seen by tests and by people. */
window.addEventListener("error", (event) => { document.documentElement.dataset.error = String(event.message); });
window.addEventListener("unhandledrejection", (event) => { document.documentElement.dataset.error = String(event.reason); });
document.addEventListener("securitypolicyviolation", (event) => {
  document.documentElement.dataset.error = "policy: " + event.violatedDirective;
});
