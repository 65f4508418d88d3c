//! How an image was built, as SLSA provenance: <https://slsa.dev/spec/v1.0/provenance>.
//!
//! What is in it is documented in `docs/signing.md`, which `buildType` points to.

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::error::SigningError;
use crate::build::{BuildError, Project};
use crate::config::{
    Archive, LOCK_FILE, LockedPackage, LockedTier1, LockedTier2, PackageSet, Tier1Source, definition_digest,
};
use crate::model::{Digest, HostName, ImageLocator, TierName};
use crate::oci::{BASE_DIGEST, BASE_NAME, Image};
use crate::sign::{PROVENANCE, Predicate};
use crate::sys::{dirs, env};

/// What `buildType` says: a document that says what the parameters mean.
const BUILD_TYPE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/-/blob/main/docs/signing.md#provenance");

/// Who builds where nobody says so: a person's machine, which proves nothing about itself.
const LOCAL: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "#local");

/// Who built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderId(String);

impl BuilderId {
    /// As given, else the GitLab runner this runs on, as GitLab itself calls it.
    pub fn of(given: Option<String>) -> Self {
        let runner = || Some(format!("{}/-/runners/{}", env::CI_PROJECT_URL.get()?, env::CI_RUNNER_ID.get()?));
        Self(given.or_else(runner).unwrap_or_else(|| LOCAL.to_owned()))
    }
}

/// What decides an image: the parts of the definition and the lock that are about it.
struct Decided<'p> {
    definition: String,
    dependencies: Vec<Value>,
    kernel: Value,
    /// The image it is a copy of.
    upstream: Option<&'p Digest>,
}

/// The provenance of an image that `project` builds.
pub(super) fn of(
    project: &Project,
    locator: &ImageLocator,
    image: &Image,
    builder: &BuilderId,
) -> Result<Predicate, BuildError> {
    let unknown = || SigningError::NoProvenance { image: locator.to_string() };
    let ImageLocator::Store(name) = locator else { return Err(unknown().into()) };
    let decided = decided(project, name).ok_or_else(unknown)?;
    // Every image of a lock carries its time; another one was not built from it. A mirrored one is the upstream's.
    let is_of_this_lock = match &decided.upstream {
        Some(upstream) => *upstream == image.digest(),
        None => image.config().created().as_deref() == Some(project.epoch().to_rfc3339().as_str()),
    };
    if !is_of_this_lock {
        return Err(SigningError::OtherLock { image: name.clone() }.into());
    }
    let mut dependencies = vec![base(image), commit(project)].into_iter().flatten().collect::<Vec<_>>();
    dependencies.extend(decided.dependencies);
    let lock = crate::oci::sha256(&project.read(LOCK_FILE)?);
    let content = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "image": name,
                "definition": {"digest": {"sha256": decided.definition}},
                "lock": {"digest": {"sha256": lock.digest()}},
            },
            "internalParameters": {
                "sourceDateEpoch": project.epoch().as_secs(),
                "kernel": decided.kernel,
            },
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {"id": builder.0, "version": {"imgbuild": env!("CARGO_PKG_VERSION")}},
            "metadata": env::CI_JOB_URL.get().map_or(json!({}), |url| json!({"invocationId": url})),
        },
    });
    let named = |source| SigningError::Sign { image: locator.to_string(), source };
    Ok(Predicate::new(PROVENANCE, content).map_err(named)?)
}

fn decided<'p>(project: &'p Project, name: &str) -> Option<Decided<'p>> {
    let (definition, lock) = (&project.definition, project.lock.as_ref()?);
    let root = &definition.project;
    match name.split_once('/')? {
        ("tier1", tier) => {
            let tier: TierName = tier.parse().ok()?;
            let digest = definition_digest(&(root, definition.tier1.get(&tier)?)).to_string();
            Some(of_tier1(digest, lock.tier1.get(&tier)?))
        }
        ("tier2", tier) => {
            let tier: TierName = tier.parse().ok()?;
            let written = definition.tier2.get(&tier)?;
            let sets: Vec<_> = written.modules.iter().map(|set| definition.kmods.get(set)).collect();
            let digest = definition_digest(&(root, written, sets)).to_string();
            Some(of_tier2(digest, lock.tier2.get(&tier)?))
        }
        ("tier3", host) => {
            let host: HostName = host.parse().ok()?;
            let digest = definition_digest(&(root, definition.hosts.get(&host)?)).to_string();
            // Everything else is the affair of the image below.
            Some(Decided { definition: digest, dependencies: Vec::new(), kernel: Value::Null, upstream: None })
        }
        _ => None,
    }
}

fn of_tier1<'p>(definition: String, locked: &'p LockedTier1) -> Decided<'p> {
    let upstream = match &locked.source {
        Tier1Source::Mirror { image, .. } => Some(&image.resolved),
        Tier1Source::Bootstrap { .. } => None,
    };
    let dependencies = match &locked.source {
        Tier1Source::Mirror { image, .. } => vec![json!({
            "name": "upstream",
            "uri": image.requested.to_string(),
            "digest": {image.resolved.algorithm().to_string(): image.resolved.digest()},
        })],
        Tier1Source::Bootstrap { packages, setup_root } => {
            let mut all = of_packages(packages);
            all.push(json!({"name": "composefs-setup-root", "digest": {"sha256": setup_root.sha256.to_string()}}));
            all
        }
    };
    Decided { definition, dependencies, kernel: json!({"release": locked.kernel.to_string()}), upstream }
}

fn of_tier2(definition: String, locked: &LockedTier2) -> Decided<'static> {
    let mut dependencies = of_packages(&locked.packages);
    dependencies.extend(locked.modules.values().flat_map(|module| of_packages(&module.packages)));
    dependencies.extend(locked.kernel.swap.iter().flat_map(|swap| of_packages(&swap.packages)));
    dependencies.sort_by_cached_key(ToString::to_string);
    dependencies.dedup();
    let kernel = json!({"release": locked.kernel.release.to_string(), "reason": locked.kernel.reason});
    Decided { definition, dependencies, kernel, upstream: None }
}

fn of_packages(set: &PackageSet) -> Vec<Value> {
    let one = |package: &LockedPackage| {
        let archive = match &package.archive {
            Archive::Machine => "archive:main".to_owned(),
            Archive::MachineSecurity => "archive:security".to_owned(),
            Archive::Url(url) => url.trim_end_matches('/').to_owned(),
        };
        json!({
            "name": format!("{} {} {}", package.name, package.version, package.architecture),
            "uri": format!("{archive}/{}", package.path),
            "digest": {"sha256": package.sha256.to_string()},
        })
    };
    set.packages.iter().map(one).collect()
}

/// The image below, as the image itself says.
fn base(image: &Image) -> Option<Value> {
    let annotations = image.manifest().annotations().as_ref()?;
    let (algorithm, hex) = annotations.get(BASE_DIGEST)?.split_once(':')?;
    let name = annotations.get(BASE_NAME).map_or("base", String::as_str);
    Some(json!({"name": name, "digest": {algorithm: hex}}))
}

/// The commit that is checked out where the project lies, if it lies in a clone.
fn commit(project: &Project) -> Option<Value> {
    let commit = project.path().ancestors().find_map(head_of)?;
    let origin = env::CI_PROJECT_URL.get().map(|url| format!("git+{url}"));
    let mut found = json!({"name": "definition", "digest": {"gitCommit": commit}});
    if let Some(origin) = origin {
        found["uri"] = Value::String(origin);
    }
    Some(found)
}

/// gitrepository-layout(5): `HEAD` is a commit, or names a file or a line of `packed-refs` that is.
fn head_of(folder: &Utf8Path) -> Option<String> {
    let git = git_folder(folder)?;
    let head = read(&git, "HEAD")?;
    let Some(reference) = head.trim().strip_prefix("ref: ") else { return commit_id(&head) };
    // In a linked work tree branches are kept with the clone.
    let common = read(&git, "commondir").map_or_else(|| git.clone(), |path| git.join(path.trim()));
    let loose = read(&common, reference).and_then(|text| commit_id(&text));
    loose.or_else(|| read(&common, "packed-refs")?.lines().find_map(|line| commit_id(line.strip_suffix(reference)?)))
}

/// The folder `.git`, or the one that a file of this name points to.
fn git_folder(folder: &Utf8Path) -> Option<Utf8PathBuf> {
    let path = folder.join(".git");
    match read(folder, ".git") {
        Some(text) => Some(folder.join(text.trim().strip_prefix("gitdir: ")?)),
        None => dirs::exists(&path).then_some(path),
    }
}

fn read(folder: &Utf8Path, name: &str) -> Option<String> {
    // Branches may have slashes in their names, but lead nowhere else.
    dirs::open(folder).ok()?.read_to_string(name).ok()
}

fn commit_id(text: &str) -> Option<String> {
    let text = text.trim();
    let valid = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| text.to_owned())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests write a repository")]
mod tests {
    use super::*;

    const COMMIT: &str = "193b5bd7d3985809503963ae400594ea16df31cf";

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        for (name, text) in files {
            let file = path.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        (folder, path)
    }

    #[test]
    fn the_commit_is_found_wherever_git_keeps_it() {
        let line = format!("{COMMIT}\n");
        let packed = format!("# pack-refs\n{COMMIT} refs/heads/a/b\n");
        for (what, files, found) in [
            ("a branch", vec![(".git/HEAD", "ref: refs/heads/a/b\n"), (".git/refs/heads/a/b", line.as_str())], true),
            ("no branch", vec![(".git/HEAD", line.as_str())], true),
            ("packed", vec![(".git/HEAD", "ref: refs/heads/a/b\n"), (".git/packed-refs", packed.as_str())], true),
            (
                "a linked work tree",
                vec![
                    (".git", "gitdir: clone/.git/worktrees/w\n"),
                    ("clone/.git/worktrees/w/HEAD", "ref: refs/heads/main\n"),
                    ("clone/.git/worktrees/w/commondir", "../..\n"),
                    ("clone/.git/refs/heads/main", line.as_str()),
                ],
                true,
            ),
            ("no commit yet", vec![(".git/HEAD", "ref: refs/heads/main\n")], false),
            ("a way out", vec![(".git/HEAD", "ref: ../secret\n"), ("secret", line.as_str())], false),
            ("nothing", vec![], false),
        ] {
            let (_folder, path) = folder(&files);
            assert_eq!(head_of(&path).as_deref(), found.then_some(COMMIT), "{what}");
        }
    }
}
