//! As much of JSON Schema 2020-12 as `topics/schemas` uses. A keyword it does not know fails the
//! test, so that no schema says something nobody checks.

use std::collections::BTreeMap;

use serde_json::Value;

/// Words that say something to people only.
const NOTES: [&str; 6] = ["$schema", "$id", "$defs", "title", "description", "format"];

/// Every way in which an instance breaks the schema of a name.
pub fn check(schemas: &BTreeMap<String, Value>, name: &str, instance: &Value) -> Vec<String> {
    let root = &schemas[name];
    let mut broken = Vec::new();
    Checker { schemas, root }.walk(root, instance, "", &mut broken);
    broken
}

#[derive(Clone, Copy)]
struct Checker<'a> {
    schemas: &'a BTreeMap<String, Value>,
    root: &'a Value,
}

impl Checker<'_> {
    fn walk(self, schema: &Value, instance: &Value, at: &str, broken: &mut Vec<String>) {
        for (keyword, rule) in schema.as_object().expect("a schema is an object") {
            let holds = match keyword.as_str() {
                note if NOTES.contains(&note) => true,
                "properties" | "items" | "additionalProperties" => {
                    self.members((keyword, schema), instance, at, broken);
                    true
                }
                "$ref" => {
                    self.follow(rule.as_str().expect("a reference"), instance, at, broken);
                    true
                }
                "oneOf" => self.matching(rule, instance, at) == 1,
                other => holds(other, rule, instance),
            };
            if !holds {
                broken.push(format!("{at}: {keyword} {rule}"));
            }
        }
    }

    fn matching(self, choices: &Value, instance: &Value, at: &str) -> usize {
        let choices = choices.as_array().expect("a list of schemas").iter();
        choices
            .filter(|choice| {
                let mut broken = Vec::new();
                self.walk(choice, instance, at, &mut broken);
                broken.is_empty()
            })
            .count()
    }

    fn follow(self, reference: &str, instance: &Value, at: &str, broken: &mut Vec<String>) {
        if let Some(pointer) = reference.strip_prefix('#') {
            let schema = self.root.pointer(pointer).expect("a definition in the same file");
            return self.walk(schema, instance, at, broken);
        }
        let name = reference.strip_prefix("urn:loa:schema:").expect("one of ours");
        let root = &self.schemas[name];
        Checker { root, ..self }.walk(root, instance, at, broken);
    }

    fn members(
        self,
        (keyword, schema): (&str, &Value),
        instance: &Value,
        at: &str,
        broken: &mut Vec<String>,
    ) {
        let rule = &schema[keyword];
        match (keyword, instance) {
            ("items", Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(rule, item, &format!("{at}/{index}"), broken);
                }
            }
            ("properties", Value::Object(members)) => {
                for (name, schema) in rule.as_object().expect("schemas by name") {
                    if let Some(member) = members.get(name) {
                        self.walk(schema, member, &format!("{at}/{name}"), broken);
                    }
                }
            }
            ("additionalProperties", Value::Object(members)) => {
                let others =
                    members.iter().filter(|(name, _)| schema["properties"][*name].is_null());
                for (name, member) in others {
                    match rule {
                        Value::Bool(true) => {}
                        Value::Bool(false) => broken.push(format!("{at}/{name}: not foreseen")),
                        schema => self.walk(schema, member, &format!("{at}/{name}"), broken),
                    }
                }
            }
            _ => {}
        }
    }
}

/// The keywords that look at one value alone.
fn holds(keyword: &str, rule: &Value, instance: &Value) -> bool {
    let size = |length: Option<usize>| length.map(|length| length as f64);
    let chars = || size(instance.as_str().map(|text| text.chars().count()));
    let items = || size(instance.as_array().map(Vec::len));
    let bound = || rule.as_f64().expect("a number");
    match keyword {
        "type" => match rule {
            Value::Array(types) => types.iter().any(|name| is(name, instance)),
            name => is(name, instance),
        },
        "const" => rule == instance,
        "enum" => rule.as_array().expect("a list").contains(instance),
        "required" => {
            let mut names = rule.as_array().expect("a list").iter().filter_map(Value::as_str);
            instance.as_object().is_none_or(|members| names.all(|name| members.contains_key(name)))
        }
        "minimum" => instance.as_f64().is_none_or(|number| number >= bound()),
        "maximum" => instance.as_f64().is_none_or(|number| number <= bound()),
        "minLength" => chars().is_none_or(|count| count >= bound()),
        "maxLength" => chars().is_none_or(|count| count <= bound()),
        "minItems" => items().is_none_or(|count| count >= bound()),
        "maxItems" => items().is_none_or(|count| count <= bound()),
        unknown => panic!("the schemas use `{unknown}`, which this checker does not know"),
    }
}

fn is(name: &Value, instance: &Value) -> bool {
    match name.as_str().expect("a type's name") {
        "object" => instance.is_object(),
        "array" => instance.is_array(),
        "string" => instance.is_string(),
        "integer" => instance.is_i64() || instance.is_u64(),
        "number" => instance.is_number(),
        "boolean" => instance.is_boolean(),
        "null" => instance.is_null(),
        unknown => panic!("no such type: {unknown}"),
    }
}
