// An operator who lets users write to topics, each to exactly one. Arguments: the kafkajs package,
// brokers, then pairs of user and topic.
import { createRequire } from "node:module";

const [, , packageFolder, brokers, ...pairs] = process.argv;
const {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  Kafka,
  ResourcePatternTypes,
  logLevel,
} = createRequire(import.meta.url)(packageFolder);

const acl = [];
for (let at = 0; at < pairs.length; at += 2) {
  for (const operation of [AclOperationTypes.WRITE, AclOperationTypes.DESCRIBE]) {
    acl.push({
      resourceType: AclResourceTypes.TOPIC,
      resourceName: pairs[at + 1],
      resourcePatternType: ResourcePatternTypes.LITERAL,
      principal: `User:${pairs[at]}`,
      host: "*",
      operation,
      permissionType: AclPermissionTypes.ALLOW,
    });
  }
}
const kafka = new Kafka({ clientId: "operator", brokers: brokers.split(","), logLevel: logLevel.ERROR });
const admin = kafka.admin();
await admin.connect();
await admin.createAcls({ acl });
await admin.disconnect();
