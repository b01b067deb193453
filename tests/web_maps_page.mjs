// node web_maps_page.mjs URL: what the page of maps says and paints in Chromium, as JSON: at first, of another value of the first
// slider, and of another universe.

import { launched } from "./web_browser.mjs";

const browser = await launched();
try {
  const page = await browser.newPage();
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(process.argv[2]);
  const said = () =>
    page.evaluate(() => {
      const canvas = document.querySelector("#map");
      return {
        status: document.querySelector("#status").innerText,
        sliders: [...document.querySelectorAll("#parameters label")].map((label) => label.innerText.replace(/\s+/g, " ").trim()),
        legend: document.querySelector("#legend").innerText,
        painted: canvas.hidden ? "" : canvas.toDataURL(),
        side: canvas.width,
      };
    });
  const shown = [];
  const look = async () => {
    await page.waitForFunction(() => {
      const status = document.querySelector("#status");
      return status.className === "bad" || status.innerText.includes("painted in");
    });
    shown.push(await said());
  };
  await look();
  if (shown[0].sliders.length) {
    const marked = () => page.evaluate(() => (document.querySelector("#status").textContent = ""));
    await marked();
    await page.locator("#parameters input").first().fill("0.45");
    await look();
    await marked();
    await page.locator("#parameters button").click();
    await look();
  }
  console.log(JSON.stringify({ shown, complaints }));
} finally {
  await browser.close();
}
