# SPDX-License-Identifier: Apache-2.0
"""Holds objects against the rules of foreign schemas, which are tables in tests/schema.

    for complaint in Ocsf().check(json.loads(line)): …
"""
import ipaddress
import json
import re

TABLES = "tests/schema/"


def load(name):
    with open(TABLES + name, encoding="ascii") as table:
        return json.load(table)


def no_twice(pairs):
    """For json.loads(object_pairs_hook=): an object with a key that is there twice is none."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice: %s" % [key for key, _ in pairs])
    return found


def read(line):
    """One line of output: UTF-8, JSON as the standard has it (no NaN), no key twice."""
    def refuse(word):
        raise ValueError(word)
    return json.loads(line.decode("utf-8"), object_pairs_hook=no_twice, parse_constant=refuse)


def is_int(value, bits):
    return type(value) is int and -2**(bits - 1) <= value < 2**(bits - 1)


def is_ip(text, longest):
    try:
        return isinstance(text, str) and len(text) <= longest and "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def by_name(types):
    """{"int": ["a", "b"]} -> {"a": "int", "b": "int"}"""
    return {name: kind for kind, names in types.items() for name in names}


class Ocsf:
    def __init__(self):
        self.rules = load("ocsf-1.1.0.json")
        base, self.types = self.rules["base"], self.rules["types"]
        self.classes = {}
        for uid, rules in self.rules["classes"].items():
            self.classes[int(uid)] = {
                "category": rules["category"], "at_least_one": rules.get("at_least_one"),
                "required": base["required"] + rules.get("required", []),
                "attributes": by_name(base["attributes"]) | by_name(rules.get("attributes", {})),
                "enums": base["enums"] | rules.get("enums", {}), "profiles": rules.get("profiles", {})}
        self.objects = {name: dict(rules, attributes=by_name(rules["attributes"]))
                        for name, rules in self.rules["objects"].items()}

    def check(self, event):
        """The complaints, as text."""
        rules = self.classes.get(event.get("class_uid")) if type(event.get("class_uid")) is int else None
        if not rules:
            return ["class_uid: %r is none of those that are known" % event.get("class_uid")]
        said = list(self.check_object("", event, rules, self.profiles(event)))
        if event.get("category_uid") != rules["category"]:
            said.append("category_uid: is %r, not that of the class" % event.get("category_uid"))
        if is_int(event.get("activity_id"), 32) and event.get("type_uid") != event["class_uid"] * 100 + event["activity_id"]:
            said.append("type_uid: %r is not class_uid * 100 + activity_id" % event.get("type_uid"))
        if isinstance(event.get("metadata"), dict) and event["metadata"].get("version") != self.rules["version"]:
            said.append("metadata.version: %r" % event["metadata"].get("version"))
        return said + list(self.check_later(event.get("unmapped", {})))

    @staticmethod
    def profiles(event):
        metadata = event.get("metadata")
        profiles = metadata.get("profiles") if isinstance(metadata, dict) else None
        return profiles if isinstance(profiles, list) else []

    def check_object(self, path, value, rules, profiles):
        known = dict(rules["attributes"])
        for profile, attributes in rules.get("profiles", {}).items():
            if profile in profiles:
                known.update(attributes)
        for name in rules.get("required", []):
            if name not in value:
                yield "%s: %s is missing" % (path or "event", name)
        if rules.get("at_least_one") and not any(name in value for name in rules["at_least_one"]):
            yield "%s: has none of %s" % (path or "event", ", ".join(rules["at_least_one"]))
        for name, inner in value.items():
            where = path + "." + name if path else name
            if name not in known:
                yield "%s: no such attribute" % where
                continue
            yield from self.check_value(where, inner, known[name], profiles)
            if name in rules.get("enums", {}) and inner not in rules["enums"][name]:
                yield "%s: %r is not in the enumeration" % (where, inner)

    def check_value(self, path, value, kind, profiles):
        if kind.endswith("[]"):
            if not isinstance(value, list):
                yield "%s: is no array" % path
            else:
                for i, item in enumerate(value):
                    yield from self.check_value("%s[%d]" % (path, i), item, kind[:-2], profiles)
        elif kind in self.objects:
            if not isinstance(value, dict):
                yield "%s: is no object" % path
            else:
                yield from self.check_object(path, value, self.objects[kind], profiles)
        elif not self.is_a(value, kind):
            yield "%s: %.60r is no %s" % (path, value, kind)

    def is_a(self, value, kind):
        if kind in ("string", "hostname"):
            pattern = self.types[kind].get("pattern")
            return isinstance(value, str) and len(value) <= self.types[kind]["max"] and \
                (not pattern or bool(re.fullmatch(pattern, value)))
        return {"int": lambda: is_int(value, 32), "long": lambda: is_int(value, 64),
                "port": lambda: type(value) is int and 0 <= value <= 65535, "bool": lambda: type(value) is bool,
                "ip": lambda: is_ip(value, self.types["ip"]["max"]), "any": lambda: isinstance(value, dict),
                "json": lambda: True}[kind]()

    def check_later(self, unmapped):
        """What a later version would say, which stands beside, has to exist there."""
        later = unmapped.get("ocsf") if isinstance(unmapped, dict) else None
        if later is None:
            return
        uid, activity = later.get("class_uid", later.get("type_uid", 0) // 100), later.get("activity_id")
        known = self.rules["later"].get(later.get("version"), {}).get(str(uid))
        if not known or activity not in known["activity_id"] or later["type_uid"] != uid * 100 + activity or \
                later.get("category_uid", 3) != known["category"]:
            yield "unmapped.ocsf: %s" % json.dumps(later)


class Ecs:
    def __init__(self):
        self.rules = load("ecs-8.17.json")
        self.fields = by_name(self.rules["fields"])

    def check(self, event):
        flat, said = {}, []
        self.flatten("", event, flat)
        for name in ("@timestamp", "ecs.version", "event.kind", "event.type", "event.dataset", "host.name"):
            if name not in flat:
                said.append("%s is missing" % name)
        for name, value in flat.items():
            if name not in self.fields:
                said.append("%s: no such field" % name)
            elif not self.is_a(value, self.fields[name]):
                said.append("%s: %.60r is no %s" % (name, value, self.fields[name]))
        if flat.get("ecs.version") != self.rules["version"]:
            said.append("ecs.version: %r" % flat.get("ecs.version"))
        return said + list(self.check_words(flat)) + list(self.check_own(event.get("hallmark")))

    def flatten(self, path, value, flat):
        for name, inner in value.items():
            if path == "" and name == "hallmark":
                continue
            if isinstance(inner, dict):
                if not inner:
                    flat[path + name] = inner  # an empty object is no value of any field
                self.flatten(path + name + ".", inner, flat)
            else:
                flat[path + name] = inner

    @staticmethod
    def is_a(value, kind):
        if kind.endswith("[]"):
            return isinstance(value, list) and bool(value) and all(Ecs.is_a(item, kind[:-2]) for item in value)
        if kind == "date":
            return isinstance(value, str) and bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value))
        if kind == "long":
            return is_int(value, 64)
        return is_ip(value, 45) if kind == "ip" else isinstance(value, str)

    def check_words(self, flat):
        for name, words in self.rules["values"].items():
            said = flat.get(name, [])
            for word in said if isinstance(said, list) else [said]:
                if word not in words:
                    yield "%s: %r is not in the list" % (name, word)
        types = flat.get("event.type", [])
        categories = flat.get("event.category", [])
        allowed = self.rules["types_of_category"]
        for category in categories if isinstance(categories, list) else []:
            for word in types if isinstance(types, list) else []:
                if word not in allowed.get(category, []):
                    yield "event.type: %r does not go with %r" % (word, category)
        if "iam" in categories and not ("user" in types) ^ ("group" in types):
            yield "event.type: iam names what was changed: a user or a group"
        for name in ("source.port", "destination.port"):
            if name in flat and not 0 < flat[name] < 65536:
                yield "%s: %r" % (name, flat[name])

    @staticmethod
    def check_own(own):
        """Under one name there is one type of value, whatever the event, or a later document is refused."""
        if not isinstance(own, dict):
            yield "hallmark: is no object"
            return
        for name, value in own.get("fields", {}).items():
            if not isinstance(value, str) or "." in name:
                yield "hallmark.fields.%s: %.60r" % (name, value)
