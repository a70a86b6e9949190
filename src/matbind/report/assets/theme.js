// Before anything is shown, so that a remembered choice does not flash.
try {
  const chosen = localStorage.getItem("matbind-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch { /* a browser that remembers nothing follows the system */ }
