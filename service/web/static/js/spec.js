// What a job may be asked, as the service itself describes it in /openapi.json: a field that is new there is
// in the form at once, and nothing of a spec is told twice.

import { ask } from "./api.js";

let loaded = null;

/** The fields of a spec, in order: [{name, title, help, kind, ...}]; asked for once. */
export function specFields() {
  loaded ??= load().catch((error) => {
    loaded = null;
    throw error;
  });
  return loaded;
}

async function load() {
  const { schemas } = (await (await ask("GET", "/openapi.json")).json()).components;
  return fieldsOf(schemas.Spec, schemas);
}

function fieldsOf(schema, schemas) {
  return Object.entries(schema.properties).map(([name, property]) => {
    const type = typeOf(property, schemas);
    return {
      name,
      title: property.title ?? readable(name),
      help: property.description ?? "",
      example: (property.examples ?? type.examples)?.[0],
      empty: property.default ?? null,
      type,
      ...kindOf(type, schemas),
    };
  });
}

/** What a property is when it is there: the one that is not null, looked up. */
function typeOf(property, schemas) {
  const choices = (property.anyOf ?? property.oneOf ?? property.allOf ?? [property]).filter((one) => one.type !== "null");
  const [only] = choices;
  if (choices.length > 1) return {};
  return only.$ref ? schemas[only.$ref.split("/").at(-1)] : only;
}

function kindOf(type, schemas) {
  if (type.enum) return { kind: "choice" };
  if (type.type === "object" && type.properties) return { kind: "group", fields: fieldsOf(type, schemas) };
  if (type.type === "object" && type.additionalProperties?.type === "string") return { kind: "pairs" };
  if (type.type === "integer" || type.type === "number") return { kind: "number" };
  if (type.type === "boolean") return { kind: "choice", type: { enum: [true, false] } };
  return { kind: type.type === "string" ? "text" : "json" };
}

function readable(name) {
  return name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
}
