import js from "@eslint/js";
import ts from "typescript-eslint";

export default ts.config({ ignores: ["runners/"] }, js.configs.recommended, ...ts.configs.recommended, { files: ["*.ts"] });
