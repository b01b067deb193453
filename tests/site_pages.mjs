// node site_pages.mjs ADDRESS FOLDER MODEL...: what the site shows and does in Chromium, as JSON; screenshots go into FOLDER.

import { join } from "node:path";

import { launched } from "./web_browser.mjs";

const [address, folder, ...models] = process.argv.slice(2);

const browser = await launched();
const complaints = [];
const origins = new Set();
const said = { models: {} };
try {
  const page = await browser.newPage({ viewport: { width: 1300, height: 1000 } });
  page.on("console", (message) => message.type() === "error" && complaints.push(`${page.url()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
  page.on("request", (request) => origins.add(new URL(request.url()).origin));

  for (const name of models) {
    await page.goto(`${address}/_made/models/${name}.html`);
    await page.locator(".physzoo-demo[data-ready], .physzoo-demo .bad").first().waitFor({ timeout: 120000 });
    const place = page.locator(".physzoo-demo");
    const shown = () => place.locator(".demo-shown").evaluate((element) => {
      const canvas = element.querySelector("canvas");
      return canvas ? canvas.toDataURL() : element.innerHTML;
    });
    const before = await shown();
    const controls = place.locator(".demo-controls > *").filter({ has: page.locator("input[data-of]") });
    const slider = place.locator("input[data-of]").first();
    const moved = (await controls.count()) > 0;
    if (moved) {
      await slider.evaluate((input) => {
        input.value = String(Number(input.min) + 0.8 * (Number(input.max) - Number(input.min)));
        input.dispatchEvent(new Event("input"));
      });
    } else if (await place.locator("button").count()) await place.locator("button").first().click();
    else {
      await place.locator("input[type=range]").first().evaluate((input) => {
        input.value = "3";
        input.dispatchEvent(new Event("input"));
      });
    }
    const start = Date.now();
    while ((await shown()) === before && Date.now() - start < 20000) await page.waitForTimeout(50);
    said.models[name] = {
      status: await place.locator(".demo-status").innerText(),
      bad: await place.locator(".bad").allInnerTexts(),
      moved,
      changed: (await shown()) !== before,
      particles: await place.locator("svg circle title").allTextContents(),
    };
    await place.screenshot({ path: join(folder, `${name}.png`) });
  }

  await page.goto(`${address}/_made/models.html`);
  const visible = () => page.locator(".gallery-card:visible .sd-card-title").allInnerTexts();
  said.all = await visible();
  await page.getByRole("button", { name: "mechanics" }).click();
  said.mechanics = await visible();
  await page.screenshot({ path: join(folder, "gallery.png") });
} finally {
  await browser.close();
}
console.log(JSON.stringify({ ...said, complaints, origins: [...origins] }));
