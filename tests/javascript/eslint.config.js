// ESLint is run from the repository's root, so that the base path has the site's scripts.
import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "consistent-return": "error",
      "curly": ["error", "multi-line"],
      "default-case-last": "error",
      "eqeqeq": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-param-reassign": "error",
      "no-shadow": "error",
      "no-template-curly-in-string": "error",
      "no-throw-literal": "error",
      "no-unused-vars": ["error", { args: "all", argsIgnorePattern: "^_" }],
      "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
      // Names and descriptions come from other people's records: they are text, never markup.
      "no-restricted-properties": ["error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML", "setHTMLUnsafe", "srcdoc"].map((property) => ({ property, message: "Use textContent or append()." })),
        { object: "document", property: "write", message: "Use append()." },
      ],
    },
  },
  { files: ["site_templates/**/*.js"], languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.browser } },
  { files: ["tests/javascript/**/*.js"], languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.node } },
];
