// K and X press the toggles of the card under the pointer or, once Tab has moved the focus, of the card that has it.
export default () => {
  let state = "hover"
  document.onpointermove = () => { state = "hover" }
  document.onkeydown = event => {
    if (event.key === "Tab") state = "focus-within"
    // Whoever has sent off a query looks at the pictures next: K would be typed into the box otherwise.
    if (event.key === "Enter" && !event.isComposing && event.target.matches(".st-key-query input, .st-key-filter-name input"))
      setTimeout(() => event.target.blur())
    const mark = {k: "kept", x: "rejected"}[event.key.toLowerCase()]
    const isText = event.target.closest("input, textarea, [contenteditable]")
    if (!mark || isText || event.ctrlKey || event.metaKey || event.altKey) return
    if (document.querySelector("[role=dialog]")) return  // has shortcuts of its own
    document.querySelector(`[class*=st-key-card-]:${state} [class*=st-key-${mark}-card-] button`)?.click()
  }
}
