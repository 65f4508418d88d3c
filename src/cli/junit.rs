//! Results of checks as JUnit XML, the form that CI systems show.
//!
//! There is no standard; written is what the schema of Jenkins' xunit plugin, the one most others accept, has in
//! common with GitLab's: suites with counted test cases, one `failure` each at most.

use std::io;

use cap_std::fs_utf8::camino::Utf8Path;
use cap_std_ext::dirext::CapStdExtDirExtUtf8 as _;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::build::verify::{ModuleReport, Reported};
use crate::sys::dirs;

/// Test cases that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suite {
    pub(super) name: String,
    pub(super) cases: Vec<Case>,
}

/// One test case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Case {
    /// Groups cases in most displays.
    pub(super) class: String,
    pub(super) name: String,
    /// What failed, each with its fix; the case passed when there is none.
    pub(super) failures: Vec<String>,
    /// What is worth knowing.
    pub(super) notes: Vec<String>,
}

impl Case {
    /// A case of these findings.
    pub(super) fn of<'a>(class: &str, name: &str, findings: impl Iterator<Item = &'a Reported> + Clone) -> Self {
        let failures = findings.clone().filter(|finding| finding.fails());
        let notes = findings.filter(|finding| !finding.fails());
        Self {
            class: class.to_owned(),
            name: name.to_owned(),
            failures: failures.map(line).collect(),
            notes: notes.map(line).collect(),
        }
    }
}

fn line(finding: &Reported) -> String {
    let Reported { code, subject, message, fix, .. } = finding;
    match &finding.allowed {
        Some(reason) => format!("{code} {subject}: {message} (allowed: {reason})"),
        None => format!("{code} {subject}: {message}\n  fix: {fix}"),
    }
}

/// A suite per kernel: a case per module, and one per code for what is not about one of them.
pub(super) fn of_modules(report: &ModuleReport) -> Vec<Suite> {
    let suite = |kernel: &crate::build::verify::KernelReport| {
        let about = |module: &String| {
            let module = module.clone();
            kernel.findings.iter().filter(move |finding| finding.subject == module)
        };
        let mut cases: Vec<Case> =
            kernel.modules.iter().map(|module| Case::of(&kernel.kernel, module, about(module))).collect();
        let others: Vec<&Reported> =
            kernel.findings.iter().filter(|finding| !kernel.modules.contains(&finding.subject)).collect();
        for same in others.chunk_by(|left, right| left.code == right.code) {
            cases.push(Case::of(&kernel.kernel, same[0].code, same.iter().copied()));
        }
        Suite { name: format!("{} {}", report.subject, kernel.kernel), cases }
    };
    report.kernels.iter().map(suite).collect()
}

/// Writes the file, whole or not at all.
pub(super) fn write(path: &Utf8Path, suites: &[Suite]) -> io::Result<()> {
    let path = dirs::absolute(path)?;
    let (folder, name) = (path.parent().unwrap_or(Utf8Path::new("/")), path.file_name().unwrap_or_default());
    dirs::open_or_create(folder)?.atomic_write(name, render(suites)?)
}

fn render(suites: &[Suite]) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let (tests, failures) = suites.iter().map(counts).fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
    writer
        .create_element("testsuites")
        .with_attributes([("tests", &*tests.to_string()), ("failures", &*failures.to_string())])
        .write_inner_content(|writer| suites.iter().try_for_each(|suite| write_suite(writer, suite)))?;
    let mut text = writer.into_inner();
    text.push(b'\n');
    Ok(text)
}

fn counts(suite: &Suite) -> (usize, usize) {
    (suite.cases.len(), suite.cases.iter().filter(|case| !case.failures.is_empty()).count())
}

fn write_suite(writer: &mut Writer<Vec<u8>>, suite: &Suite) -> io::Result<()> {
    let (tests, failures) = counts(suite);
    let (name, tests, failures) = (printable(&suite.name), tests.to_string(), failures.to_string());
    writer
        .create_element("testsuite")
        .with_attributes([("name", &*name), ("tests", &tests), ("failures", &failures), ("errors", "0")])
        .write_inner_content(|writer| suite.cases.iter().try_for_each(|case| write_case(writer, case)))?;
    Ok(())
}

fn write_case(writer: &mut Writer<Vec<u8>>, case: &Case) -> io::Result<()> {
    let (class, name) = (printable(&case.class), printable(&case.name));
    let element = writer.create_element("testcase").with_attributes([("classname", &*class), ("name", &*name)]);
    if case.failures.is_empty() && case.notes.is_empty() {
        element.write_empty()?;
        return Ok(());
    }
    element.write_inner_content(|writer| {
        if let Some(first) = case.failures.first() {
            let message = printable(first.lines().next().unwrap_or_default());
            let all = printable(&case.failures.join("\n"));
            let failure = writer.create_element("failure").with_attributes([("message", &*message)]);
            failure.write_text_content(BytesText::new(&all))?;
        }
        if !case.notes.is_empty() {
            let notes = printable(&case.notes.join("\n"));
            writer.create_element("system-out").write_text_content(BytesText::new(&notes))?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Names of files may hold what XML cannot say, not even escaped.
fn printable(text: &str) -> String {
    let is_allowed = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}') || c == '\n' || c == '\t';
    text.chars().map(|c| if is_allowed(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_counted_and_hostile_names_escaped() {
        let case = |name: &str, failures: &[&str], notes: &[&str]| Case {
            class: "KMOD".to_owned(),
            name: name.to_owned(),
            failures: failures.iter().map(|&text| text.to_owned()).collect(),
            notes: notes.iter().map(|&text| text.to_owned()).collect(),
        };
        let suite = Suite {
            name: "a \"b\" <c> & 'd'".to_owned(),
            cases: vec![
                case("fine", &[], &[]),
                case("bad\u{1b}[0m", &["first <]]>\nfix", "second"], &[]),
                case("noted", &[], &["& so"]),
            ],
        };
        let text = String::from_utf8(render(&[suite]).unwrap()).unwrap();
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites tests=\"3\" failures=\"1\">\n  \
             <testsuite name=\"a &quot;b&quot; &lt;c&gt; &amp; &apos;d&apos;\" tests=\"3\" failures=\"1\" errors=\"0\">\n    \
             <testcase classname=\"KMOD\" name=\"fine\"/>\n    \
             <testcase classname=\"KMOD\" name=\"bad\u{fffd}[0m\">\n      \
             <failure message=\"first &lt;]]&gt;\">first &lt;]]&gt;\nfix\nsecond</failure>\n    \
             </testcase>\n    \
             <testcase classname=\"KMOD\" name=\"noted\">\n      \
             <system-out>&amp; so</system-out>\n    \
             </testcase>\n  \
             </testsuite>\n\
             </testsuites>\n"
        );
    }
}
