//! Snapshots and restored collections: complete, or not there.

use serde_json::json;

use super::super::collections::RESTORED;
use crate::client::Collection;
use crate::server::Server;

/// Every snapshot of the collection is complete. Restores the newest, then removes all.
pub(super) fn check(server: &Server, collection: &str, faults: &mut Vec<String>) {
    let client = server.client();
    let snapshots_path = format!("/collections/{collection}/snapshots");
    let answer = client.get(&snapshots_path);
    if answer.status == 404 {
        return;
    }
    let listed = answer.expect(200).json();
    let snapshots = listed["snapshots"].as_array().cloned().unwrap_or_default();
    if let Some(newest) = snapshots.last() {
        let body = json!({ "snapshot": newest["id"], "collection": collection });
        let name = format!("{RESTORED}newest-{collection}");
        let restored = client.post(&format!("/collections/{name}/restore"), &body);
        if restored.status != 200 || restored.json()["documents"] != newest["documents"] {
            faults.push(format!(
                "the snapshot {newest} cannot be restored: {restored:?}"
            ));
        } else {
            check_restored(&client.existing(&name), faults);
            client.delete(&format!("/collections/{name}")).expect(204);
        }
    }
    for snapshot in &snapshots {
        let id = snapshot["id"].as_str().unwrap_or_default();
        client.delete(&format!("{snapshots_path}/{id}")).expect(204);
    }
}

/// A restored collection is complete.
pub(super) fn check_restored(collection: &Collection<'_>, faults: &mut Vec<String>) {
    let (listed, summary) = (collection.list(500), collection.summary());
    if summary["documents"] != listed.len() {
        faults.push(format!(
            "{}: {} documents are listed: {summary}",
            collection.name(),
            listed.len()
        ));
    }
    let checked = collection.check();
    if checked["agrees"] != true {
        faults.push(format!("{}: {checked}", collection.name()));
    }
}
