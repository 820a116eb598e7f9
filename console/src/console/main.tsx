import "../shared/fonts.css";
import "../shared/tokens.css";
import "./styles/base.css";
import "./styles/forms.css";
import "./styles/map.css";
import "./styles/pages.css";
import "./styles/print.css";
import { render } from "preact";
import { language } from "../shared/language";
import { applyTheme } from "../shared/theme";
import { App } from "./App";
import { begin } from "./state";

applyTheme();
document.documentElement.lang = language.get();
render(<App />, document.getElementById("app")!);
void begin();
