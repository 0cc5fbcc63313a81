//! The report as one page: no script, no network, readable on a phone and on paper.

use super::{
    Report, SplitReport, StripRow,
    plots::{Plot, Point, Scale, escaped, svg},
};
use encompute_leakage::{ARCHIVES, REPEATS};

const STYLE: &str = "\
:root{color-scheme:light}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;color:#111;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}h3{font-size:1rem;margin-bottom:.2rem}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;white-space:nowrap}\
th,td{padding:.25rem .6rem;border-bottom:1px solid #ccc;text-align:right}\
th:first-child,td:first-child,.all td:nth-child(2),.all th:nth-child(2),.all td:last-child,.all th:last-child{text-align:left}\
.all td:last-child{white-space:normal;min-width:14rem}\
.plots{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;flex:1 1 18rem;max-width:30rem}figcaption{font-size:.85rem;color:#444}\
svg{width:100%;height:auto}svg text{font:9px system-ui,sans-serif;fill:#222}.end{text-anchor:end}.mid{text-anchor:middle}\
.grid{stroke:#ddd}.axis{stroke:#222;fill:none}polyline{fill:none;stroke-width:1.5}\
.s0{fill:#1558b0;stroke:#1558b0}.s1{fill:#c0471a;stroke:#c0471a}.s2{fill:#2c7a3d;stroke:#2c7a3d}polyline.s0,polyline.s1,polyline.s2{fill:none}\
.strip{display:grid;grid-template-columns:auto 1fr;gap:0 .6rem;font-size:.8rem;max-width:34rem}\
.strip img{width:100%;image-rendering:pixelated;display:block}.g{font-weight:700}\
@media print{body{max-width:none;font-size:11pt}section{break-inside:avoid}.wide{overflow:visible}table{font-size:8pt;white-space:normal}}";

/// The whole page.
pub fn page(report: &Report) -> String {
    let model = escaped(&report.model);
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{model}: what each split costs and tells</title><style>{STYLE}</style></head><body>\
         <h1>{model}: what each split costs and tells</h1>"
    );
    out.push_str(&format!(
        "<p>The float model answers {:.2} % of {} held-out samples rightly ({:.2} to {:.2} %). Attackers know the head, its weights and the release, and learnt from {}.</p>",
        report.float.share * 100.0,
        report.float.samples,
        report.float.low * 100.0,
        report.float.high * 100.0,
        escaped(&report.population)
    ));
    out.push_str(&table(report));
    out.push_str(&plots(report));
    for split in report.splits.iter().filter(|split| split.on_card) {
        section(&mut out, report, split);
    }
    refused(&mut out, report);
    out.push_str(&limits(report));
    out.push_str("</body></html>\n");
    out
}

fn table(report: &Report) -> String {
    let head = "<tr><th>split<th>policy<th>grade<th>mode<th>layers<th>ms<th>KB up<th>KB down<th>PBS<th>features<th>right, %<th>released, %<th>above floor<th>bits, at most<th>bits, exact<th>named of 10⁴, %<th>may be listed";
    let row = |split: &SplitReport| {
        format!(
            "<tr><td>{}<td>{}<td class=\"g\">{}<td>{}<td>{}<td>{:.1}<td>{:.0}<td>{:.0}<td>{}<td>{}<td>{:.2}<td>{:.2}<td>{:.3}<td>{:.1}<td>{:.1}<td>{}{:.1}<td>{}: {}",
            escaped(&split.name),
            escaped(&split.policy),
            split.grade,
            split.mode,
            split.depth,
            split.ms,
            split.bytes_up as f64 / 1e3,
            split.bytes_down as f64 / 1e3,
            split.pbs,
            split.features,
            split.accuracy * 100.0,
            split.released_accuracy * 100.0,
            split.leakage.above_floor,
            split.bits,
            split.posterior_bits,
            if split.reid_at_most { "≤ " } else { "" },
            split.reid_10k * 100.0,
            if split.listable { "yes" } else { "no" },
            escaped(&split.reason)
        )
    };
    let rows: String = report.splits.iter().map(row).collect();
    format!("<div class=\"wide\"><table class=\"all\"><thead>{head}</thead><tbody>{rows}</tbody></table></div>")
}

fn plots(report: &Report) -> String {
    let splits = &report.splits;
    let series = |split: &SplitReport| usize::from(!split.on_card);
    let words = |split: &SplitReport| format!("{}, {}: grade {}", split.name, split.policy, split.grade);
    let points = |x: &dyn Fn(&SplitReport) -> f64, y: &dyn Fn(&SplitReport) -> f64| {
        splits
            .iter()
            .map(|split| Point { x: x(split), y: y(split), series: series(split), words: words(split) })
            .collect::<Vec<_>>()
    };
    let lost = |split: &SplitReport| (report.float.share - split.released_accuracy) * 100.0;
    let told = |split: &SplitReport| split.leakage.above_floor;
    let depth = |split: &SplitReport| split.depth as f64;
    let names = ["on the card", "elsewhere"];
    let scatter = Plot {
        title: "accuracy against leakage",
        x: Scale::over("points of accuracy lost", 0.1, splits.iter().map(lost)),
        y: Scale::over("best attack above the floor of the answer", 0.01, splits.iter().map(told)),
        series: &names,
        points: points(&lost, &told),
        lines: false,
    };
    let unprotected = |split: &SplitReport| split.leakage.unprotected.similarity();
    let deep = Plot {
        title: "depth of the cut",
        x: Scale::over("linear layers before the cut", 1.0, splits.iter().map(depth)),
        y: Scale::over("similarity of a linear attack without any protection", 0.01, splits.iter().map(unprotected)),
        series: &names,
        points: points(&depth, &unprotected),
        lines: false,
    };
    let ms = |split: &SplitReport| split.ms;
    let bytes = |split: &SplitReport| (split.bytes_up + split.bytes_down) as f64 / 1e3;
    let cost = Plot {
        title: "cost",
        x: Scale::over("milliseconds of the worker", 0.01, splits.iter().map(ms)),
        y: Scale::over("kilobytes, both ways", 1.0, splits.iter().map(bytes)),
        series: &names,
        points: points(&ms, &bytes),
        lines: false,
    };
    let figure =
        |plot: &Plot<'_>, words: &str| format!("<figure>{}<figcaption>{words}</figcaption></figure>", svg(plot));
    format!(
        "<h2>Accuracy, depth, cost</h2><div class=\"plots\">{}{}{}</div>",
        figure(
            &scatter,
            "Accuracy against leakage: better is lower and further left. Cuts that are not on the card have noise for the same bits and a tail that was not trained for it."
        ),
        figure(&deep, "Depth: what a head's bare output gives away."),
        figure(&cost, "Cost of one run.")
    )
}

fn section(out: &mut String, report: &Report, split: &SplitReport) {
    let found = &split.leakage;
    let similar = found.attacks.iter().map(|attack| attack.likeness.similarity()).fold(f64::NEG_INFINITY, f64::max);
    let last = found.naming.last();
    out.push_str(&format!(
        "<section><h2>{}, {}: grade {}</h2><p>Released features carry at most <b>{:.1} bits</b> about an input of this population, of which the answer itself is up to {:.1}. \
         An attacker who knows the model and holds an archive of {} candidates that contains the input picks it with probability <b>{}{:.1} %</b> (chance {:.2} %). \
         The best of {} attacks rebuilds it with similarity <b>{similar:.3}</b>; knowing the answer alone already gives {:.3}.</p><p>Grade {}: {}.</p>",
        escaped(&split.name),
        escaped(&split.policy),
        split.grade,
        split.bits,
        (report.classes as f64).log2(),
        ARCHIVES[2],
        if split.reid_at_most { "at most " } else { "" },
        split.reid_10k * 100.0,
        last.map_or(0.0, |naming| naming.chance * 100.0),
        found.attacks.len(),
        found.floor_class.similarity().max(found.floor_mean.similarity()),
        split.grade,
        escaped(&split.reason)
    ));
    strip(out, split);
    attacks(out, split);
    let repeats = found.repeats.iter().map(|repeat| Point {
        x: (repeat.times as f64).log2(),
        y: repeat.bits,
        series: 0,
        words: format!("{} releases: {:.2} bits, {:.1} % named", repeat.times, repeat.bits, repeat.named * 100.0),
    });
    let points: Vec<Point> = repeats.collect();
    if !points.is_empty() {
        let most = (REPEATS[REPEATS.len() - 1] as f64).log2();
        let plot = Plot {
            title: "repeats",
            x: Scale::over("releases with fresh noise, powers of two", 1.0, [most].into_iter()),
            y: Scale::over("bits, exact", 0.1, points.iter().map(|point| point.y)),
            series: &[""],
            points,
            lines: true,
        };
        out.push_str(&format!("<figure>{}<figcaption>What repeats would tell: why noise is drawn once for an input, and never again.</figcaption></figure>", svg(&plot)));
    }
    out.push_str("</section>");
}

fn attacks(out: &mut String, split: &SplitReport) {
    let found = &split.leakage;
    out.push_str("<div class=\"wide\"><table><thead><tr><th>guess<th>squared error<th>PSNR, dB<th>SSIM<th>worst 5 %<th>explained</thead><tbody>");
    let floors = [("mean input", &found.floor_mean), ("mean of the class", &found.floor_class)];
    let attacks = found.attacks.iter().map(|attack| (attack.name, &attack.likeness));
    let rest = [("archive holds the input", &found.in_archive), ("linear, nothing protected", &found.unprotected)];
    for (name, likeness) in floors.into_iter().chain(attacks).chain(rest) {
        let or_none =
            |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |value| format!("{value:.digits$}"));
        out.push_str(&format!(
            "<tr><td>{name}<td>{:.4}<td>{}<td>{}<td>{}<td>{:.3}",
            likeness.mean_squared_error,
            or_none(likeness.peak_signal_to_noise, 1),
            or_none(likeness.structural.map(|all| all.mean), 3),
            or_none(likeness.structural.map(|all| all.worst), 3),
            likeness.explained
        ));
    }
    out.push_str("</tbody></table></div><p>");
    for naming in &found.naming {
        let at_most = if naming.at_most { "at most " } else { "" };
        out.push_str(&format!("Named among {}: {at_most}{:.1} %. ", naming.candidates, naming.share * 100.0));
    }
    for wanted in &found.traits {
        out.push_str(&format!(
            "{}: told with area {:.3} (answer alone {:.3}). ",
            wanted.name, wanted.area, wanted.floor
        ));
    }
    out.push_str(&format!(
        "Twentieth of inputs of which most is told: {:.1} bits. No attacker names more than {:.0} % of 10,000. Worst case over all inputs: ε = {:.0} for δ = 10⁻⁵, μ = {:.1}: too large to promise anything.",
        found.bits.posterior_worst,
        found.naming_bound * 100.0,
        found.worst_case.epsilon,
        found.worst_case.mu
    ));
    if let Some(sensitivity) = found.sensitivity {
        out.push_str(&format!(
            " Sensitivity (dFIL): mean {:.3}, 95 of 100 {:.3}, most {:.3}.",
            sensitivity.mean, sensitivity.high, sensitivity.most
        ));
    }
    out.push_str("</p>");
}

/// Rows of pictures.
fn strip(out: &mut String, split: &SplitReport) {
    if split.strip.is_empty() {
        return;
    }
    out.push_str("<div class=\"strip\">");
    for StripRow { name, png } in &split.strip {
        out.push_str(&format!("<span>{name}</span><img alt=\"{name}\" src=\"data:image/png;base64,{png}\">"));
    }
    out.push_str("</div>");
}

fn refused(out: &mut String, report: &Report) {
    if report.refused.is_empty() {
        return;
    }
    out.push_str("<h2>Where it cannot be cut</h2><ul>");
    for cut in &report.refused {
        out.push_str(&format!("<li>after {}: {}</li>", escaped(&cut.after), escaped(&cut.reason)));
    }
    out.push_str("</ul>");
}

fn limits(report: &Report) -> String {
    format!(
        "<h2>What this does not say</h2><ul>\
         <li>Bits and shares are for the population of the reference samples: an input unlike them gives away more. The user's own command counts bits before it sends.</li>\
         <li>Attacks are those that were tried; a better one may come. Bounds hold for any.</li>\
         <li>The creator learns the answer in any case; it is the floor, and not counted.</li>\
         <li>Similarity of an attacker whose archive holds the input is naming in another form, and not counted twice.</li>\
         <li>Times, sizes, and what else a user shows are not looked at; metadata of files goes no further than the user.</li></ul>\
         <p>Made by {}, suite {}, seed {}; digest of model, card and samples {}.</p>",
        escaped(&report.tool),
        report.suite,
        report.seed.0,
        escaped(&report.digest)
    )
}
