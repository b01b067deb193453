// Leaves the cards of one task, family or field; the same button again, or none chosen, shows all.

const buttons = [...document.querySelectorAll(".gallery-filter button")];
const cards = [...document.querySelectorAll(".gallery-card")];

for (const button of buttons) {
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const chosen = button.getAttribute("aria-pressed") === "false";
    for (const other of button.parentElement.querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-pressed", String(chosen));
    const wanted = buttons.filter((one) => one.getAttribute("aria-pressed") === "true").map((one) => one.dataset.only);
    for (const card of cards) card.hidden = !wanted.every((mark) => card.classList.contains(mark));
  });
}
