// Before the first paint: the theme that was chosen, if any.
document.documentElement.dataset.theme = localStorage.getItem("theme") ?? "";
