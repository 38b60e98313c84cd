// A site with an AppView has assets/text.js under this name, beside live/text.js.
export * from "../../../site_templates/assets/text.js";
