// node web_page.mjs URL [FOLDER]: what a page says, in Chromium, of the folder that is chosen or that it opens itself. As JSON.

import { launched } from "./web_browser.mjs";

const [url, folder] = process.argv.slice(2);

const browser = await launched();
try {
  const page = await browser.newPage();
  const complaints = [];
  const origins = new Set();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => origins.add(new URL(request.url()).origin));
  await page.goto(url);
  if (folder) {
    await page.locator("#folder:enabled").waitFor();
    await page.setInputFiles("#folder", folder);
  }
  await page.waitForFunction(() => {
    const input = document.querySelector("#folder");
    return input ? !input.disabled && document.querySelector("#status").innerText : document.title;
  });
  const said = await page.evaluate(() => ({
    title: document.title,
    status: document.querySelector("#status")?.innerText,
    endpoints: [...document.querySelectorAll("h2")].map((heading) => heading.innerText),
    rows: [...document.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.innerText)),
    bad: [...document.querySelectorAll(".bad")].map((element) => element.innerText),
  }));
  console.log(JSON.stringify({ ...said, complaints, origins: [...origins] }));
} finally {
  await browser.close();
}
