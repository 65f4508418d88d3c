//! `[seal]` in a definition.

use crate::image::{Place, good};

const TIER1: &[u8] = b"version = 1\ntier = 1\n[mirror]\nimage = \"oci:layout:image\"\nfamily = \"apt\"\n";

fn project(per_host: bool) -> Place {
    let place = Place::new(&good());
    place.write("imgbuild.toml", b"version = 1\nname = \"fleet\"\nbase = \"edge\"\n");
    place.write("tiers/os/tier.toml", TIER1);
    let seal = format!(
        "version = 1\ntier = 2\nbase = \"os\"\n[seal]\nkey = \"keys/owner.key\"\ncertificate = \"keys/owner.crt\"\n\
         kargs = [\"quiet\"]\nper-host = {per_host}\n"
    );
    place.write("tiers/edge/tier.toml", seal.as_bytes());
    place.write("hosts/one.toml", b"version = 1\n");
    place.write("hosts/two.toml", b"version = 1\nbase = \"os\"\n");
    place
}

/// Lines of the plan about sealed images, each with the one below it.
fn planned(place: &Place, arguments: &[&str]) -> Vec<String> {
    let said = place.run(&[&["plan"], arguments].concat()).says(0, &[]).stdout;
    let lines: Vec<&str> = said.lines().collect();
    let sealed = lines.windows(2).filter(|pair| pair[0].starts_with("sealed/"));
    sealed.map(|pair| format!("{}: {}", pair[0], pair[1].trim())).collect()
}

#[test]
fn the_tier_is_sealed_for_all_hosts_or_each_host_by_itself() {
    let how = "seal with keys/owner.crt: quiet";
    assert_eq!(planned(&project(false), &[]), [format!("sealed/tier2/edge  from tier2/edge: {how}")]);
    // Only hosts on the tier that says so.
    assert_eq!(planned(&project(true), &[]), [format!("sealed/tier3/one  from tier3/one: {how}")]);
    assert_eq!(planned(&project(true), &["two"]), [] as [&str; 0]);
}

#[test]
fn keys_are_files_of_the_project() {
    let place = project(false);
    place.write(
        "tiers/edge/tier.toml",
        b"version = 1\ntier = 2\nbase = \"os\"\n[seal]\nkey = \"../owner.key\"\ncertificate = \"owner.crt\"\n",
    );
    let finished = place.run(&["validate"]);
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(finished.stderr.contains("../owner.key"), "{}", finished.stderr);
}
