//! A report as one page for people: nothing beside it is needed, nothing in it runs.

use crate::report::{CheckLine, Report, Severity};
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}\
h1{font-size:1.4rem}.verdict{padding:.8rem 1rem;border-radius:.4rem;font-weight:600}\
.pass{background:#e3f4e6;color:#11551f}.fail{background:#fbe4e4;color:#7c1414}\
.simulated{background:#fff3d6;color:#6b4700;padding:.6rem 1rem;border-radius:.4rem}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem .5rem;\
border-bottom:1px solid #ddd;overflow-wrap:anywhere}th{font-weight:600}code{font-size:.85em}\
tr.contradiction{background:#fbe4e4}tr.missing{background:#fff3d6}summary{cursor:pointer;margin:1rem 0 .5rem}";

/// The page: verdict, whose word it rests on, what does not hold, what cannot be told, and every check.
pub fn page(report: &Report) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut page, report);
    page
}

fn write(page: &mut String, report: &Report) -> std::fmt::Result {
    let subject = escaped(&report.subject);
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.pass).collect();
    let words = match (report.verdict, failed.iter().all(|check| check.severity == Severity::Missing)) {
        ("pass", _) => "Everything that can be checked holds.",
        (_, true) => "Nothing contradicts it, but its proof is incomplete.",
        _ => "Something does not hold.",
    };
    writeln!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Audit of {subject}: {verdict}</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>Audit of {subject}</h1>\n\
         <p class=\"verdict {verdict}\">{verdict}: {words}</p>",
        verdict = report.verdict,
    )?;
    if report.trust_root.development {
        writeln!(
            page,
            "<p class=\"simulated\">Simulated attestation: the root below is a development one, and anybody can forge \
             quotes under it.</p>"
        )?;
    }
    writeln!(
        page,
        "<p>Rests on the word of <b>{}</b>, <code>{}</code>.",
        escaped(&report.trust_root.name),
        escaped(&report.trust_root.fingerprint)
    )?;
    if let Some(judged) = &report.judged {
        writeln!(
            page,
            "Evidence judged as of {}, block {}: {}.",
            escaped(&judged.time),
            judged.block,
            escaped(judged.why)
        )?;
        if let Some(expiry) = &judged.collateral_expires_at {
            writeln!(page, "Its collateral runs out at {}.", escaped(expiry))?;
        }
    }
    writeln!(page, "</p>")?;
    if !failed.is_empty() {
        writeln!(page, "<h2>What does not hold</h2>")?;
        table(page, failed.iter().copied())?;
    }
    writeln!(page, "<h2>What this audit cannot tell</h2>\n<ul>")?;
    for limit in &report.limits {
        writeln!(page, "<li>{}</li>", escaped(limit))?;
    }
    writeln!(page, "</ul>\n<details open><summary>All {} checks</summary>", report.checks.len())?;
    table(page, report.checks.iter())?;
    writeln!(page, "</details>\n</body></html>")
}

fn table<'a>(page: &mut String, checks: impl Iterator<Item = &'a CheckLine>) -> std::fmt::Result {
    writeln!(page, "<table><tr><th>check</th><th></th><th>expected</th><th>found</th><th>expected by</th></tr>")?;
    for check in checks {
        let (class, words) = match check.severity {
            Severity::Ok => ("ok", "holds"),
            Severity::Missing => ("missing", "missing"),
            Severity::Contradiction => ("contradiction", "does not hold"),
        };
        writeln!(
            page,
            "<tr class=\"{class}\"><td>{}</td><td>{words}</td><td><code>{}</code></td><td><code>{}</code></td><td>{}</td></tr>",
            escaped(&check.id),
            escaped(&check.expected),
            escaped(&check.actual),
            escaped(&check.source)
        )?;
    }
    writeln!(page, "</table>")
}

/// Text in which nothing is markup: words in a report may come from a stranger's file.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, letter| {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_strangers_words_is_text() {
        assert_eq!(
            escaped("<script>alert('x')&\"</script>"),
            "&lt;script&gt;alert(&#39;x&#39;)&amp;&quot;&lt;/script&gt;"
        );
    }
}
