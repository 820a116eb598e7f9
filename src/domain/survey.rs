//! Surveys: the questions a notice carries, and what counts as an answer to them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::lint::{Finding, Grade, lint_text};
use crate::domain::notice::LANGUAGES_MAX;
use crate::domain::summary::is_vietnamese;

/// Questions of one survey: more is not answered on a phone.
pub const QUESTIONS_MAX: usize = 20;
/// Options of one question.
pub const OPTIONS_MAX: usize = 30;
/// Longest id of a question or option, in characters.
pub const ID_MAX: usize = 32;
/// Longest words of a question or option, in characters.
pub const WORDS_MAX: usize = 300;
/// Longest free text of an answer, in characters.
pub const TEXT_MAX: usize = 1_000;
/// Steps of a scale.
pub const SCALE_STEPS_MAX: i64 = 11;

/// What kind of answer a question takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuestionKind {
    /// One option.
    Single,
    /// Any number of options.
    Multiple,
    /// A number from `min` to `max`.
    Scale,
    /// Free text; never public.
    Text,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its id, unique in the survey.
    pub id: String,
    /// What kind of answer it takes.
    pub kind: QuestionKind,
    /// The words by BCP 47 language; `vi` is required.
    pub texts: BTreeMap<String, String>,
    /// What can be chosen, for `single` and `multiple`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
    /// The lowest step of a scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The highest step of a scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// Whether an answer must answer it.
    #[serde(default)]
    pub required: bool,
}

/// Something that can be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Its id, unique in the question.
    pub id: String,
    /// The words by BCP 47 language; `vi` is required.
    pub texts: BTreeMap<String, String>,
}

/// Every rule a survey's questions break.
pub fn check(questions: &[Question]) -> Vec<Finding> {
    let mut found = Vec::new();
    if questions.len() > QUESTIONS_MAX {
        let message = format!("{} questions, at most {QUESTIONS_MAX}", questions.len());
        found.push(Finding::error("questions", "max_items", message));
    }
    let mut ids = BTreeSet::new();
    for (index, question) in questions.iter().take(QUESTIONS_MAX).enumerate() {
        let path = format!("questions[{index}]");
        check_id(&path, &question.id, &mut ids, &mut found);
        check_words(&path, &question.texts, &mut found);
        question.check_options(&path, &mut found);
        question.check_scale(&path, &mut found);
    }
    found
}

fn check_id<'a>(path: &str, id: &'a str, seen: &mut BTreeSet<&'a str>, found: &mut Vec<Finding>) {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if id.is_empty() || id.len() > ID_MAX || !id.chars().all(fits) {
        let message = format!("1 to {ID_MAX} characters of A-Z, a-z, 0-9, `-` and `_`");
        found.push(Finding::error(format!("{path}.id"), "id", message));
    }
    if !seen.insert(id) {
        found.push(Finding::error(format!("{path}.id"), "unique", "the id is there twice"));
    }
}

fn check_words(path: &str, texts: &BTreeMap<String, String>, found: &mut Vec<Finding>) {
    let path = format!("{path}.texts");
    if !texts.keys().any(|tag| is_vietnamese(tag)) {
        found.push(Finding::error(&path, "language_vi", "no words in Vietnamese (vi)"));
    }
    if texts.len() > LANGUAGES_MAX {
        let message = format!("{} languages, at most {LANGUAGES_MAX}", texts.len());
        found.push(Finding::error(&path, "max_items", message));
    }
    for (tag, text) in texts.iter().take(LANGUAGES_MAX) {
        let path = format!("{path}.{tag}");
        let count = text.chars().count();
        if text.trim().is_empty() || count > WORDS_MAX {
            let message = format!("must have 1 to {WORDS_MAX} characters");
            found.push(Finding::error(&path, "length", message));
        }
        found.extend(lint_text(&path, text).into_iter().filter(|f| f.severity == Grade::Error));
    }
}

impl Question {
    fn check_options(&self, path: &str, found: &mut Vec<Finding>) {
        let path = format!("{path}.options");
        let chooses = matches!(self.kind, QuestionKind::Single | QuestionKind::Multiple);
        let fits = if chooses { 2..=OPTIONS_MAX } else { 0..=0 };
        if !fits.contains(&self.options.len()) {
            let message = if chooses {
                format!("2 to {OPTIONS_MAX} options")
            } else {
                "only `single` and `multiple` have options".to_owned()
            };
            found.push(Finding::error(&path, "count", message));
        }
        let mut ids = BTreeSet::new();
        for (index, option) in self.options.iter().take(OPTIONS_MAX).enumerate() {
            let path = format!("{path}[{index}]");
            check_id(&path, &option.id, &mut ids, found);
            check_words(&path, &option.texts, found);
        }
    }

    fn check_scale(&self, path: &str, found: &mut Vec<Finding>) {
        let fine = match (self.kind, self.min, self.max) {
            (QuestionKind::Scale, Some(min), Some(max)) => {
                min < max && max.saturating_sub(min) < SCALE_STEPS_MAX
            }
            (QuestionKind::Scale, ..) => false,
            (_, min, max) => min.is_none() && max.is_none(),
        };
        if !fine {
            let message = format!(
                "a `scale` goes from `min` to a greater `max` in at most {SCALE_STEPS_MAX} steps; \
                 other kinds have neither"
            );
            found.push(Finding::error(format!("{path}.min"), "scale", message));
        }
    }

    /// What of a value counts for this question: the ids chosen, the step, or the text.
    fn read(&self, value: &Value) -> Option<Answer> {
        let known = |id: &str| self.options.iter().any(|option| option.id == id);
        match self.kind {
            QuestionKind::Single => {
                let id = value.as_str().filter(|id| known(id))?;
                Some(Answer::Chosen(vec![id.to_owned()]))
            }
            QuestionKind::Multiple => {
                let ids: BTreeSet<&str> =
                    value.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
                let fits = !ids.is_empty() && ids.iter().all(|id| known(id));
                fits.then(|| Answer::Chosen(ids.into_iter().map(str::to_owned).collect()))
            }
            QuestionKind::Scale => {
                let step = value.as_i64()?;
                let fits = self.min? <= step && step <= self.max?;
                fits.then(|| Answer::Chosen(vec![step.to_string()]))
            }
            QuestionKind::Text => {
                let text = value.as_str()?.trim();
                let fits = (1..=TEXT_MAX).contains(&text.chars().count());
                fits.then(|| Answer::Text(text.to_owned()))
            }
        }
    }
}

/// An answer to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The ids of the options, or the step of the scale.
    Chosen(Vec<String>),
    /// Free text.
    Text(String),
}

/// Reads the answers to a survey by question id; every rule that is broken is named.
pub fn read(
    questions: &[Question],
    values: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Answer>, Vec<Finding>> {
    let (mut answers, mut found) = (BTreeMap::new(), Vec::new());
    for id in values.keys().take(QUESTIONS_MAX) {
        if !questions.iter().any(|question| question.id == *id) {
            let path = format!("survey.{}", id.chars().take(ID_MAX).collect::<String>());
            found.push(Finding::error(path, "known_question", "the survey has no such question"));
        }
    }
    for question in questions {
        let path = format!("survey.{}", question.id);
        match values.get(&question.id).filter(|value| !value.is_null()) {
            Some(value) => match question.read(value) {
                Some(answer) => drop(answers.insert(question.id.clone(), answer)),
                None => {
                    let message = "is no answer to this question";
                    found.push(Finding::error(path, "answer", message));
                }
            },
            None if question.required => {
                found.push(Finding::error(path, "required", "must be answered"));
            }
            None => {}
        }
    }
    if answers.is_empty() && found.is_empty() {
        found.push(Finding::error("survey", "not_empty", "answers no question"));
    }
    if found.is_empty() { Ok(answers) } else { Err(found) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn questions() -> Vec<Question> {
        let option = |id: &str| json!({"id": id, "texts": {"vi": id}});
        let (yes, no) = (option("yes"), option("no"));
        serde_json::from_value(json!([
            {"id": "a", "kind": "single", "texts": {"vi": "A?"}, "options": [yes, no],
                "required": true},
            {"id": "b", "kind": "multiple", "texts": {"vi": "B?"}, "options": [yes, no]},
            {"id": "c", "kind": "scale", "texts": {"vi": "C?"}, "min": 1, "max": 5},
            {"id": "d", "kind": "text", "texts": {"vi": "D?"}}
        ]))
        .expect("questions")
    }

    #[test]
    fn every_broken_rule_of_a_question_is_named_with_its_place() {
        assert_eq!(check(&questions()), []);
        type Spoil = fn(&mut Vec<Question>);
        let cases: [(Spoil, &str, &str); 9] = [
            (|q| q[1].id = "a".into(), "questions[1].id", "unique"),
            (|q| q[0].id = "a b".into(), "questions[0].id", "id"),
            (|q| q[0].texts.clear(), "questions[0].texts", "language_vi"),
            (
                |q| drop(q[3].texts.insert("vi".into(), " ".into())),
                "questions[3].texts.vi",
                "length",
            ),
            (|q| q[0].options.truncate(1), "questions[0].options", "count"),
            (|q| q[3].options = q[0].options.clone(), "questions[3].options", "count"),
            (|q| q[0].options[1].id = "yes".into(), "questions[0].options[1].id", "unique"),
            (|q| q[2].max = Some(1), "questions[2].min", "scale"),
            (|q| q[0].min = Some(1), "questions[0].min", "scale"),
        ];
        for (spoil, path, rule) in cases {
            let mut bad = questions();
            spoil(&mut bad);
            let found = check(&bad);
            let named: Vec<_> = found.iter().map(|f| (f.path.as_str(), f.rule)).collect();
            assert_eq!(named, [(path, rule)]);
        }
    }

    #[test]
    fn answers_are_read_or_refused_by_name() {
        let read = |values: Value| {
            let values = serde_json::from_value(values).expect("an object");
            super::read(&questions(), &values)
        };
        let good = read(json!({"a": "yes", "b": ["no", "yes", "no"], "c": 5, "d": " tốt "}));
        let good = good.expect("answers");
        assert_eq!(good["b"], Answer::Chosen(vec!["no".into(), "yes".into()]));
        assert_eq!(good["c"], Answer::Chosen(vec!["5".into()]));
        assert_eq!(good["d"], Answer::Text("tốt".into()));
        for (bad, path, rule) in [
            (json!({}), "survey.a", "required"),
            (json!({"a": "maybe"}), "survey.a", "answer"),
            (json!({"a": "yes", "b": []}), "survey.b", "answer"),
            (json!({"a": "yes", "c": 6}), "survey.c", "answer"),
            (json!({"a": "yes", "d": "x".repeat(TEXT_MAX + 1)}), "survey.d", "answer"),
            (json!({"a": "yes", "z": 1}), "survey.z", "known_question"),
        ] {
            let found = read(bad).expect_err(path);
            assert_eq!((found[0].path.as_str(), found[0].rule), (path, rule));
        }
    }
}
