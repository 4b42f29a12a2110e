// Runs before the first paint, so that a page whose owner chose dark never flashes white.
try {
  const { theme } = JSON.parse(localStorage.getItem("hearth.prefs") || "{}");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's own setting holds.
}
