//! What callers see of a contract, whatever compiler built it.

use serde_json::Value;
use std::collections::BTreeSet;

/// Messages, constructors and events, one line each. Type numbers are left out: they follow the order
/// in which a linker lays things out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Interface(BTreeSet<String>);

impl Interface {
    /// The interface in ink!'s metadata.
    pub fn of(metadata: &Value) -> Self {
        let mut lines = BTreeSet::new();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for kind in ["constructors", "messages"] {
            for message in list(&metadata["spec"][kind]) {
                let arguments: Vec<_> = list(&message["args"]).iter().map(named_type).collect();
                lines.insert(format!(
                    "{kind} {} {} payable {} mutates {} ({}) -> {}",
                    text(&message["label"]),
                    text(&message["selector"]),
                    message["payable"],
                    message["mutates"],
                    arguments.join(", "),
                    names(&message["returnType"]["displayName"]),
                ));
            }
        }
        for event in list(&metadata["spec"]["events"]) {
            let fields: Vec<_> = list(&event["args"])
                .iter()
                .map(|field| format!("{}{}", named_type(field), if field["indexed"] == true { " topic" } else { "" }))
                .collect();
            lines.insert(format!(
                "event {} {} ({})",
                text(&event["label"]),
                text(&event["signature_topic"]),
                fields.join(", ")
            ));
        }
        Self(lines)
    }
}

/// The first line that only one of them has.
pub fn difference(built: &Interface, recorded: &Interface) -> Option<String> {
    let new = built.0.difference(&recorded.0).next().map(|line| format!("only built: {line}"));
    new.or_else(|| recorded.0.difference(&built.0).next().map(|line| format!("only recorded: {line}")))
}

fn named_type(field: &Value) -> String {
    format!("{}: {}", text(&field["label"]), names(&field["type"]["displayName"]))
}

fn names(value: &Value) -> String {
    let parts: Vec<_> = value.as_array().map(|parts| parts.iter().map(text).collect()).unwrap_or_default();
    parts.join("::")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(selector: &str, type_number: u32) -> Value {
        json!({"spec": {"messages": [{
            "label": "claim_job", "selector": selector, "payable": false, "mutates": true,
            "args": [{"label": "call", "type": {"displayName": ["ClaimJob"], "type": type_number}}],
            "returnType": {"displayName": ["ink", "MessageResult"], "type": 3},
        }]}})
    }

    #[test]
    fn type_numbers_are_no_difference_but_selectors_are() {
        let interface = Interface::of(&metadata("0x00000011", 4));
        assert_eq!(difference(&interface, &Interface::of(&metadata("0x00000011", 9))), None);
        assert!(difference(&interface, &Interface::of(&metadata("0x00000012", 4))).is_some());
    }
}
